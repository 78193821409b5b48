"""Records of an opened source and of its files, before they are read."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.quarantine import QuarantinedFile


class Unreadable(Exception):
    """One file of a source cannot be read; the others can.

    Args:
        reason: Short reason to count by, such as ``truncated``.
        detail: Description of the failure, a clause.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source, not read yet.

    Attributes:
        path: Path relative to the source, with forward slashes.
        label: Class that the source itself gives it; empty: none, the path may tell.
        split: Ready-made split that the source itself puts it in; empty: none, the path may tell.
        extra: Further columns of the source, as a JSON object of texts; empty: none.
        group: Group that the source itself puts it in; empty: none, the path may tell.
    """

    path: str
    label: str = ""
    split: str = ""
    extra: str = ""
    group: str = ""


Loader = Callable[[], bytes]
"""Reads one file's bytes, on any thread; raises `Unreadable`."""


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        name: The source as the user named it, without secrets.
        entries: Its files, without junk.
        loaders: Yields a loader for each of `entries`, in their order.
        ignored: Number of files that operating systems leave behind.
        unusable: Things that cannot be read as files: links, devices.
        remote: True if reading a file waits for a network.
        copy: Puts the file at a position in `entries` on disk, whatever its size, and returns its path: the given
            one, or where it was already. None: only `loaders` read.
        notes: Remarks on how the source was read, a sentence each.
    """

    name: str
    entries: ColumnarList[Entry]
    loaders: Callable[[], Iterator[Loader]]
    ignored: int = 0
    unusable: tuple[QuarantinedFile, ...] = ()
    remote: bool = False
    copy: Callable[[int, Path], Path] | None = None
    notes: tuple[str, ...] = ()
