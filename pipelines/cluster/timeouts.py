"""Times to wait for a cluster."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Times to wait for a cluster, in seconds.

    Attributes:
        interval: Time between two looks at a run.
        start_notice: Time that a task's pod may take to start before its requests are shown.
        start_timeout: Time that it may take to start before waiting ends; 0: no limit.
        connection_timeout: Time that a lost connection may take to come back.
        end_timeout: Time that a run which is being terminated may take to end.
    """

    interval: float = 5.0
    start_notice: float = 180.0
    start_timeout: float = 1800.0
    connection_timeout: float = 300.0
    end_timeout: float = 300.0
