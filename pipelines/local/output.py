"""Where a command writes to."""

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
def written(output: Path, kind: str, option: str = "--output") -> Iterator[None]:
    """Tells in one line that an output cannot be written.

    Args:
        output: The output.
        kind: ``file`` or ``folder``, for the message.
        option: What names it; empty: an argument.

    Raises:
        HeadstartError: There is an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        other = f"name another {kind}{f' with {option}' if option else ''}"
        raise HeadstartError(f"output {str(output)!r} cannot be written ({error.strerror}); {other}") from None


@contextlib.contextmanager
def written_file(output: Path) -> Iterator[BinaryIO]:
    """Opens an output that is written whole or not at all; what else goes wrong in the block is not blamed on it.

    Args:
        output: The file.

    Raises:
        HeadstartError: It cannot be opened, or not be put in its place, or the disk is full.
    """
    with explain_full_disk(output), contextlib.ExitStack() as stack:
        with written(output, "file"):
            file = stack.enter_context(open_atomic(output))
        yield file
        with written(output, "file"):
            stack.close()


def check_outside(output: Path, data: Sequence[str]) -> None:
    """Refuses an output folder that would be read as part of the data, before it is made.

    Args:
        output: The folder.
        data: The sources.

    Raises:
        HeadstartError: It lies in one of them.
    """
    for source in data:
        if is_local(source) and output.resolve().is_relative_to(find_local_path(source).resolve()):
            raise HeadstartError(
                f"output {str(output)!r} lies in the data {source!r}, and would be read as part of it; name a folder "
                "elsewhere with --output"
            )
