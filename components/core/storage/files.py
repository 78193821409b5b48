"""Checksums of files, and the error about a full disk."""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.util.errors import Unavailable


@contextlib.contextmanager
def explain_full_disk(place: object = "the outputs") -> Iterator[None]:
    """Turns the error of a full disk into one line, in a `with` block or as a decorator.

    Args:
        place: Name of the files that are written, for the message.

    Raises:
        Unavailable: If the disk of the files or of the temporary folder is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable(
            f"no space left on the disk of {place} or of {tempfile.gettempdir()}; free some, or set TMPDIR"
        ) from None


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
