"""The wanted rate of false alarms: familiar images that are flagged as unfamiliar."""

from headstart.components.core.util.errors import HeadstartError

FALSE_ALARM = 0.01
"""Default of the wanted share of familiar images that are flagged."""


def check_false_alarm(false_alarm: float) -> None:
    """Refuses a rate of false alarms that is none.

    Raises:
        HeadstartError: If it is outside (0, 0.5).
    """
    if not 0 < false_alarm < 0.5:
        raise HeadstartError(f"false_alarm {false_alarm}: give a share above 0 and below 0.5, such as 0.01")
