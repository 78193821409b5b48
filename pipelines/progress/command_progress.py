"""Progress of commands that compute in their own process, from the lines that the steps log."""

import contextlib
import logging
from collections.abc import Iterator

from rich.console import Console

from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import ClassesFound, TaskEnded, TaskProgress, TaskStarted, Warned, parse

_LOGGER = logging.getLogger("headstart")


@contextlib.contextmanager
def show_command(name: str, console: Console | None = None) -> Iterator[RunDisplay]:
    """Shows the progress of a command as one line, which is gone after a moment's work.

    Args:
        name: Name of the command.
        console: Console to show it on; None: standard error, since standard output may be data.

    Yields:
        The display, to be closed before the block ends if it is in the way of other output.
    """
    with (
        RunDisplay(console or Console(stderr=True), [name]) as display,
        show_logged_progress(display),
        show_task(display, name),
    ):
        yield display


@contextlib.contextmanager
def show_task(display: RunDisplay, task: str) -> Iterator[None]:
    """Shows the start of a task, and whether it succeeds."""
    display.show(TaskStarted(task))
    try:
        yield
    except BaseException:
        display.show(TaskEnded(task, False))
        raise
    display.show(TaskEnded(task, True))


@contextlib.contextmanager
def show_logged_progress(display: RunDisplay) -> Iterator[None]:
    """Shows the progress, the classes and the warnings that steps log in this process."""

    class Show(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = parse(record.getMessage())
            if isinstance(event, TaskProgress | ClassesFound | Warned):
                display.show(event)

    handler, level, propagate = Show(), _LOGGER.level, _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate
