"""Signals that end a command, as an exception, so that it cleans up."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from headstart.pipelines.progress.console import say

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user or the system ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.exit_status = 128 + number


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Lets SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the block, once.

    A signal that is ignored already, as under nohup, stays ignored. Python lets only the main thread handle signals;
    in another one the block runs without.

    Raises:
        Interrupted: If one of them came.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # None: a handler that a library set, which could not be set again.
    before = {each: handler for each in _SIGNALS if (handler := signal.getsignal(each)) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def exit_on_interruption(console: Console, output: Path) -> Iterator[None]:
    """Ends the command with the signal's exit status, if the block is interrupted.

    Args:
        console: Console to print to.
        output: Output folder, which is unchanged.

    Raises:
        typer.Exit: If `Interrupted` was raised in the block.
    """
    try:
        yield
    except Interrupted as interrupted:
        say(f"interrupted by {interrupted}; nothing was added to {output}", console=console)
        raise typer.Exit(interrupted.exit_status) from None


def ignore_signals() -> None:
    """Ignores the signals up to the end of `raise_on_signals`."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
