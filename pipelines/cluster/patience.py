"""How long to wait for what."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    Attributes:
        interval: Between two looks at a run.
        start_notice: For a stage's pod to start, before saying what it asks for.
        start_timeout: For it to start, before giving up on it; 0: for ever.
        connection_timeout: For a lost connection to come back.
        end_timeout: For a run that is being terminated to end.
    """

    interval: float = 5.0
    start_notice: float = 180.0
    start_timeout: float = 1800.0
    connection_timeout: float = 300.0
    end_timeout: float = 300.0
