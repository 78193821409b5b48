"""What ends a command from outside, as an exception: it tidies up behind itself."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user, or the system, wants the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT, SIGTERM and SIGHUP raise `Interrupted`, once.

    Raises:
        Interrupted: One of them came.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Interrupted(number)

    before = [signal.signal(number, interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here to the end of `interruptible` nothing interrupts any more."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
