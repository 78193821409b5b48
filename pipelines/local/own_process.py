"""Commands that compute in their own process: what all of them need around their work."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from headstart.components.core.storage.files import explain_full_disk
from headstart.pipelines.local.interruption import raise_on_signals
from headstart.pipelines.local.temporary_folder import temporary_folder
from headstart.pipelines.local.tensorflow_import import hold_back_library_output
from headstart.pipelines.progress.command_progress import show_logged_progress
from headstart.pipelines.progress.display import RunDisplay


@contextlib.contextmanager
def compute_in_own_process(console: Console, tasks: Sequence[str]) -> Iterator[tuple[Path, RunDisplay]]:
    """Runs a block that computes: signals interrupt it, libraries are silent, and its progress is shown.

    Args:
        console: Console to print to.
        tasks: Names of the tasks that the block shows, in order.

    Yields:
        A folder for temporary files, removed at the end, and the display.

    Raises:
        Interrupted: If a signal ends the command.
        HeadstartError: If the disk is full, or whatever the block raises.
    """
    with (
        raise_on_signals(),
        temporary_folder() as folder,
        hold_back_library_output(),
        explain_full_disk(),
        RunDisplay(console, tasks) as display,
        show_logged_progress(display),
    ):
        yield folder, display
