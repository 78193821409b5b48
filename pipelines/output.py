"""Where a command writes to."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores import scheme_of
from headstart.components.download_dataset.sources import local_path


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


def check_outside(output: Path, data: Sequence[str]) -> None:
    """Refuses an output folder that would be read as part of the data, before it is made.

    Args:
        output: The folder.
        data: The sources.

    Raises:
        HeadstartError: It lies in one of them.
    """
    for source in data:
        if scheme_of(source) in ("", "file") and output.resolve().is_relative_to(local_path(source).resolve()):
            raise HeadstartError(
                f"output {str(output)!r} lies in the data {source!r}, and would be read as part of it; name a folder "
                "elsewhere with --output"
            )
