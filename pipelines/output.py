"""Where a command writes to."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.errors import HeadstartError


@contextlib.contextmanager
def written(output: Path, kind: str) -> Iterator[None]:
    """Tells in one line that what `--output` names cannot be written.

    Args:
        output: What it names.
        kind: ``file`` or ``folder``, for the message.

    Raises:
        HeadstartError: There is an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        raise HeadstartError(
            f"output {str(output)!r} cannot be written ({error.strerror}); name another {kind} with --output"
        ) from None
