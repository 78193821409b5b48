"""What ends a command from outside, as an exception: it tidies up behind itself."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user, or the system, wants the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT, SIGTERM and SIGHUP raise `Interrupted`, once.

    One that is ignored already, as under nohup, stays so.

    Raises:
        Interrupted: One of them came.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Interrupted(number)

    before = {each: handler for each in _SIGNALS if (handler := signal.getsignal(each)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruption_told(console: Console, output: Path) -> Iterator[None]:
    """Ends the command where what it does is interrupted, with the signal's exit status.

    Args:
        console: Where to say so.
        output: The folder that is as it was.

    Raises:
        typer.Exit: `Interrupted` was raised within.
    """
    try:
        yield
    except Interrupted as interrupted:
        console.print(f"interrupted by {interrupted}; nothing was added to {output}", markup=False, soft_wrap=True)
        raise typer.Exit(interrupted.exit_status) from None


def ignore_signals() -> None:
    """From here to the end of `interruptible` nothing interrupts any more."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
