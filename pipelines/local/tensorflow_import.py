"""Commands that compute in their own process: TensorFlow without its log lines."""

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import typer
from rich.console import Console

from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.progress.notebook import in_notebook

_STDERR = 2
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ASKS_FOR_LOG = ("0", "1")
_EXPECTED = (HeadstartError, Interrupted, BrokenPipeError, typer.Exit, typer.Abort)


@contextlib.contextmanager
def hold_back_library_output() -> Iterator[Console]:
    """Keeps what libraries write to standard error off the terminal, from Python and from C++.

    TensorFlow, its converters and absl write dozens of lines that no setting suppresses. An unexpected error brings
    them all to light. Nothing is held back where TF_CPP_MIN_LOG_LEVEL is 0 or 1, by which a user asks for the log.

    Yields:
        Console that writes to standard error all the same.
    """
    with _set_log_level() as level:
        if level in _ASKS_FOR_LOG or not (_is_descriptor_2() or in_notebook()):
            yield Console(stderr=True)
            return
        with _hold_back_descriptor() as console:
            yield console


@contextlib.contextmanager
def _set_log_level() -> Iterator[str]:
    """Sets TensorFlow's log level unless the user has, for as long as the block lasts."""
    given = os.environ.get(_LEVEL)
    level = os.environ.setdefault(_LEVEL, "2")
    try:
        yield level
    finally:
        if given is None:
            os.environ.pop(_LEVEL, None)


@contextlib.contextmanager
def _hold_back_descriptor() -> Iterator[Console]:
    sys.stderr.flush()
    with (
        tempfile.TemporaryFile() as held,
        os.fdopen(os.dup(_STDERR), "w", encoding=sys.stderr.encoding, errors="backslashreplace") as error,
    ):
        os.dup2(held.fileno(), _STDERR)
        unexpected = False
        try:
            # rich asks the standard streams for the width, of which this is none any more.
            width = os.get_terminal_size(error.fileno()).columns if error.isatty() else 0
            yield Console(file=error, width=width or None)
        except Exception as problem:
            unexpected = not isinstance(problem, _EXPECTED)
            raise
        finally:
            sys.stderr.flush()
            error.flush()
            os.dup2(error.fileno(), _STDERR)
            if unexpected:
                held.seek(0)
                shutil.copyfileobj(held, error.buffer)


def _is_descriptor_2() -> bool:
    """Whether Python's standard error is the descriptor that C++ writes to, and not a stand-in."""
    try:
        return sys.stderr.fileno() == _STDERR
    except (AttributeError, io.UnsupportedOperation):
        return False


def import_tensorflow() -> None:
    """Imports TensorFlow, and finds the devices of this machine."""
    start_tensorflow()
    import tensorflow

    tensorflow.config.list_logical_devices()
