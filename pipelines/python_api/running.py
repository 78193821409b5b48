"""Running a prepared pipeline from Python: progress, interruption, and what is worth remembering of the run."""

import contextlib
import signal
from typing import NoReturn

from rich.console import Console

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.notification import RunNotice
from headstart.pipelines.local.output_folder import LOG
from headstart.pipelines.local.preparation import PreparedRun
from headstart.pipelines.local.run import run
from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import ClassesFound, Decided, Event, Published, Warned
from headstart.pipelines.progress.notebook import NotebookConsole, in_notebook
from headstart.pipelines.python_api.paths import show_path, show_paths


class _Listener:
    """Display that keeps the gate's verdict and the publication, and passes all events on.

    Args:
        display: Display to pass them to; None: nothing is shown.
    """

    def __init__(self, display: RunDisplay | None) -> None:
        self._display = display
        self.outcome: list[Decided | Published] = []

    def show(self, event: Event) -> None:
        """Shows an event."""
        if isinstance(event, Decided | Published):
            self.outcome.append(event)
        if isinstance(event, ClassesFound):
            event = ClassesFound(show_paths(event.line))
        if isinstance(event, Warned):
            event = Warned(show_paths(event.text))
        if self._display:
            self._display.show(event)


def make_console() -> Console:
    """Console of progress: the notebook, or else standard error, since standard output is the script's."""
    return NotebookConsole() if in_notebook() else Console(stderr=True)


def run_prepared(prepared: PreparedRun, progress: bool, notice: RunNotice | None = None) -> list[Decided | Published]:
    """Runs a prepared pipeline to its end.

    Args:
        prepared: The run.
        progress: Whether to show its progress.
        notice: Notification of its end, which gets its events and figures; None: nobody is notified.

    Returns:
        The gate's verdict and the publication, where there were any.

    Raises:
        HeadstartError: If a step failed; a note names the log.
        KeyboardInterrupt: If the run was interrupted; every process of it has ended, and the output is unchanged.
    """
    output = prepared.request.output
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(RunDisplay(make_console(), prepared.tasks)) if progress else None
        if display and prepared.replaced:
            display.show(Warned(f"replacing {show_paths(prepared.replaced)}"))
        listener = _Listener(display)
        try:
            metrics = run(prepared.request, notice.forward_to(listener) if notice else listener)
        except Interrupted as interrupted:
            _pass_on(interrupted, f"interrupted; nothing was added to {show_path(output)}")
        except HeadstartError as error:
            if (output / LOG).is_file() and LOG not in str(error):
                error.add_note(f"The log of the run is {show_path(output / LOG)}.")
            raise
        if display:
            display.skip(prepared.tasks)
    if notice:
        notice.add_metrics(metrics)
    return listener.outcome


def _pass_on(interrupted: Interrupted, message: str) -> NoReturn:
    """Does what the signal would have done without the run."""
    if interrupted.number != signal.SIGINT:
        signal.raise_signal(interrupted.number)
    raise KeyboardInterrupt(message) from None
