"""`headstart predict`."""

import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.printable import escape_unprintable
from headstart.pipelines.cli.options import PrecisionOption
from headstart.pipelines.cli.usage import UsageError, check_options
from headstart.pipelines.local.output import open_output
from headstart.pipelines.local.tensorflow_import import hold_back_library_output, import_tensorflow
from headstart.pipelines.progress.console import say, say_error

if TYPE_CHECKING:
    from headstart.pipelines.progress.display import RunDisplay

EXIT_STATUSES = (
    "Exit status: 0 every image was read; 1 the model cannot be used, or nothing can be written; 2 wrong options; "
    "3 some images could not be read; 130 Ctrl-C; 141 the reader of the output has gone."
)

_TABLE = "table"
_STDIN = "-"
_UNREADABLE, _INTERRUPTED, _BROKEN_PIPE = 3, 130, 141


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="Output folder of a run, folder of a model, or place where models are published: a path, or an "
            "http(s)://, gs:// or s3:// address.",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, patterns such as 'new/**/*.jpg', archives, manifests, Parquet, and addresses of "
            "any of these or of prefixes; -: read such paths from standard input, one a line.",
            show_default=False,
        ),
    ],
    precision: PrecisionOption = 0.0,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, whole or not at all: .jsonl, .csv or .parquet.", show_default=False),
    ] = None,
    image_column: Annotated[
        str,
        typer.Option(
            help="Column of manifests and Parquet that names or holds the image; if left out, 'image' and other "
            "usual names are tried.",
            metavar="NAME",
            show_default=False,
        ),
    ] = "",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORM",
            help="'table', 'jsonl', 'csv' or 'parquet'; if left out, by the file's suffix; a table on a terminal.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Predicts the classes of images with their probabilities; an unreadable image does not stop the others."""
    from headstart.components.predict_images.step import check_paths

    with check_options():
        form = _choose_format(form, output)
        check_paths(paths)
    # Warnings of libraries about an image become its reason, if it cannot be read.
    warnings.simplefilter("ignore")
    try:
        unreadable = _predict(model, paths, precision, form, output, image_column)
    except KeyboardInterrupt:
        say_error("interrupted")
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        # The interpreter writes what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None
    if unreadable:
        raise typer.Exit(_UNREADABLE)


def _choose_format(form: str, output: Path | None) -> str:
    from headstart.pipelines.cli.prediction_formats import WRITERS

    if not form:
        if output is None:
            return _TABLE if sys.stdout.isatty() else "jsonl"
        form = output.suffix.lower().removeprefix(".")
        if form not in WRITERS:
            raise UsageError(f"output {str(output)!r} must end in {', '.join(f'.{each}' for each in WRITERS)}")
    if form not in (_TABLE, *WRITERS):
        raise_unknown_name("format", form, [_TABLE, *WRITERS])
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal; name a file with --output")
    return form


def _read_paths(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if path != _STDIN:
            yield path
            continue
        for line in sys.stdin.buffer:
            if b"\0" in line:
                raise HeadstartError("standard input holds no paths; put the image into a file, and name that")
            if name := os.fsdecode(line.rstrip(b"\r\n")):
                yield name


class Terminal(io.RawIOBase):
    """Writes text to a terminal line by line, control characters escaped.

    Args:
        prepare: Function that is called before the first line; None: nothing.
    """

    def __init__(self, prepare: Callable[[], None] | None = None) -> None:
        self._prepare = prepare

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, content: Any) -> int:
        """Writes UTF-8 text, control characters escaped; returns the number of bytes taken."""
        if self._prepare:
            self._prepare()
            self._prepare = None
        lines = bytes(content).decode("utf-8", "replace").split("\n")
        sys.stdout.buffer.write("\n".join(map(escape_unprintable, lines)).encode())
        return len(content)

    def flush(self) -> None:
        """Passes on what has been written."""
        sys.stdout.buffer.flush()


def _standard_output(display: "RunDisplay") -> BinaryIO:
    # Two writers would take each other's lines.
    return cast(BinaryIO, Terminal(display.close)) if sys.stdout.isatty() else sys.stdout.buffer


def _predict(
    address: str, paths: list[str], precision: float, form: str, output: Path | None, image_column: str
) -> bool:
    """Predicts and writes; True if some images could not be read."""
    from headstart.components.core.registry.model_files import download_model
    from headstart.components.core.storage.stores import is_remote
    from headstart.components.core.util.paths import expand_home
    from headstart.components.predict_images.step import count_images, open_model, predict_to_file
    from headstart.pipelines.cli.prediction_formats import ABSTAINED, UNFAMILIAR_MARK, WRITERS, write_table
    from headstart.pipelines.local.temporary_folder import temporary_folder
    from headstart.pipelines.progress.command_progress import show_command

    # A model on this machine is not copied, and predicting with it needs no folder that can be written.
    copies = temporary_folder() if is_remote(address) else contextlib.nullcontext()
    with (
        hold_back_library_output() as console,
        show_command("predict", console) as display,
        copies,
        download_model(address) as files,
    ):
        model = open_model(files, precision)
        if not model.calibration.calibrated:
            say("probabilities are not calibrated: there is no evaluation beside the model", console=console)
        import_tensorflow()
        calibration = model.calibration
        legends = {ABSTAINED: calibration.in_words(), UNFAMILIAR_MARK: calibration.unfamiliar_in_words()}
        table = functools.partial(write_table, legends=legends)
        write = table if form == _TABLE else WRITERS[form]
        with (
            open_output(expand_home(output)) if output else contextlib.nullcontext(_standard_output(display)) as file
        ):
            warn = functools.partial(say, console=console)
            total = count_images(paths) if console.is_terminal and _STDIN not in paths else 0
            counts = predict_to_file(model, _read_paths(paths), file, write, image_column, warn, total)
    if counts.passed_over:
        say_error(counts.passed_over_in_words())
    if counts.unreadable:
        say_error(counts.in_words())
    return bool(counts.unreadable)
