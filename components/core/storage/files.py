"""Reading files of artifacts, and what every module does with paths."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from headstart.components.core.util.errors import HeadstartError

# KFP's cache answers with addresses, and never looks whether anything is still there.
WAY_OUT_OF_CACHE = (
    "on a cluster, where KFP's cache stood in for the step that makes it, the artifact has been deleted from the "
    "store since: submit again with --no-cache"
)

DEEPEST_JSON = 64
"""Levels of lists and dictionaries in JSON from elsewhere; the configuration of a network has some twenty."""

_TOO_DEEP = f"it is nested more than {DEEPEST_JSON} deep"


def expanded(path: str | Path) -> Path:
    """A path as a user writes it, with `~` for the home folder; what stands for no user's stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises where there is no such user


@contextlib.contextmanager
def full_disk_in_one_line(place: object = "the outputs") -> Iterator[None]:
    """Tells in one line that there was no room for a file; for a `with` block, or in front of a function.

    Args:
        place: What is written, for the message.

    Raises:
        HeadstartError: There was none, there or in the temporary folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HeadstartError(
            f"no space left on the disk of {place} or of {tempfile.gettempdir()}; free some, or set TMPDIR"
        ) from None


def read_json(path: Path, what: str) -> Any:
    """Reads JSON from an artifact.

    Raises:
        HeadstartError: The file is missing or is no JSON; `what` names the artifact in the message.
    """
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise HeadstartError(
            f"{path.parent} is no {what}: it has no {path.name}; check the path; {WAY_OUT_OF_CACHE}"
        ) from None
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{path} is damaged ({error}); make the {what} again") from None


def parse_json(content: bytes) -> Any:
    """Reads JSON that may come from elsewhere: UTF-8, without NaN or infinity, not nested deeper than a person would.

    Raises:
        ValueError: If it is none, or is nested deeper than `DEEPEST_JSON`.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    layer = [value]
    for _ in range(DEEPEST_JSON):
        layer = [each for item in layer if isinstance(item, list | dict) for each in _children(item)]
        if not layer:
            return value
    raise ValueError(_TOO_DEEP)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _children(item: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
