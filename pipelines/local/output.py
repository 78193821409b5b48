"""Output files and folders of a command."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from headstart.components.core.sources import find_local_path
from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import is_local
from headstart.components.core.util.errors import HeadstartError


@contextlib.contextmanager
def explain_write_errors(output: Path, kind: str, option: str = "--output") -> Iterator[None]:
    """Turns an `OSError` into a message of one line that the output cannot be written.

    Args:
        output: Path of the output.
        kind: Kind of the output for the message: ``file`` or ``folder``.
        option: Option that names the output; empty: an argument.

    Raises:
        HeadstartError: If there is an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        other = f"name another {kind}{f' with {option}' if option else ''}"
        raise HeadstartError(f"output {str(output)!r} cannot be written ({error.strerror}); {other}") from None


@contextlib.contextmanager
def open_output(output: Path) -> Iterator[BinaryIO]:
    """Opens an output file that is written whole or not at all; other errors in the block pass unchanged.

    Args:
        output: Path of the file.

    Raises:
        HeadstartError: If the file cannot be opened or put in its place, or the disk is full.
    """
    with explain_full_disk(output), contextlib.ExitStack() as stack:
        with explain_write_errors(output, "file"):
            file = stack.enter_context(open_atomic(output))
        yield file
        with explain_write_errors(output, "file"):
            stack.close()


def check_outside(output: Path, data: Sequence[str]) -> None:
    """Refuses an output folder that would be read as part of the data, before it is made.

    Args:
        output: Path of the folder.
        data: Sources of the data.

    Raises:
        HeadstartError: If the folder lies in one of them.
    """
    for source in data:
        if is_local(source) and output.resolve().is_relative_to(find_local_path(source).resolve()):
            raise HeadstartError(
                f"output {str(output)!r} lies in the data {source!r}, and would be read as part of it; name a folder "
                "elsewhere with --output"
            )
