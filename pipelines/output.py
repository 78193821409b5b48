"""Where a command writes to."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.errors import HeadstartError


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
