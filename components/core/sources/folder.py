"""A folder of pictures on disk."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.quarantine import Quarantined
from headstart.components.core.sources.source import Entry, Loader, Source, is_junk, printable, read_file
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key


def _refuse(error: OSError) -> NoReturn:
    raise HeadstartError(
        f"folder {str(error.filename)!r} cannot be read by user {os.getuid()} ({error.strerror}); let that user read "
        "it, or run the step as one who may"
    ) from None


def walk(root: Path, closed: Callable[[OSError], object] = _refuse) -> Iterator[tuple[Path, list[str]]]:
    """Walks through a folder, folders of junk left out; links to folders are followed, each folder once.

    A folder that lies below the root by its own name is found under that, whatever links lead to it; of several links
    to a folder elsewhere the first in natural order is followed. So the disk's own order does not matter.

    Args:
        root: The folder.
        closed: What to do about a folder that may not be read; it is passed over where that does not raise.

    Yields:
        A folder and the names of the files in it.

    Raises:
        HeadstartError: A folder may not be read, and nothing else is to be done about it.
    """
    seen = {_identity(root)}
    waiting = [str(root)]
    while waiting:
        links: list[str] = []
        for top in waiting:
            for folder, subfolders, files in os.walk(top, onerror=closed):
                kept = []
                for subfolder in subfolders:
                    path = f"{folder}{os.sep}{subfolder}"
                    if is_junk(subfolder):
                        continue
                    if os.path.islink(path):  # noqa: PTH114 - Path's own raises where it may not look
                        links.append(path)
                        continue
                    try:
                        identity = _identity(Path(path))
                    except OSError as error:
                        closed(error)
                        continue
                    if identity not in seen:
                        seen.add(identity)
                        kept.append(subfolder)
                subfolders[:] = kept
                yield Path(folder), files
        waiting = []
        for link in sorted(links, key=natural_key):
            try:
                identity = _identity(Path(link))
            except OSError as error:
                closed(error)
                continue
            if identity not in seen:
                seen.add(identity)
                waiting.append(link)


def _identity(folder: Path) -> tuple[int, int]:
    """Of a folder, whatever it is called; file systems count their inodes each for itself."""
    status = folder.stat()
    return status.st_dev, status.st_ino


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What lies below a folder, named relative to it, as the system does.

    Attributes:
        files: In natural order, junk left out.
        unusable: What is neither a file nor a folder: links that lead nowhere, devices.
        ignored: How many files are junk.
    """

    files: list[str]
    unusable: list[Quarantined]
    ignored: int


def find(root: Path, closed: Callable[[OSError], object] = _refuse) -> Found:
    """Finds the files below a folder; links to files and folders are followed, each folder once.

    Args:
        root: The folder.
        closed: See `walk`.
    """
    found, unusable, ignored = [], [], 0
    for folder, files in walk(root, closed):
        inside = "" if folder == root else f"{folder.relative_to(root)}{os.sep}"
        for file in files:
            path = inside + file
            if is_junk(file):
                ignored += 1
            elif not os.path.isfile(f"{root}{os.sep}{path}"):  # noqa: PTH113 - a hundred thousand of them
                # Path's own raises where it may not look.
                kind = "broken link" if os.path.islink(folder / file) else "not a file"  # noqa: PTH114
                unusable.append(Quarantined(path, kind, "neither a file nor a folder lies there"))
            else:
                found.append(path)
    found.sort(key=natural_key)
    return Found(found, unusable, ignored)


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    """A file's path below the folder, as the system names it."""

    path: str


def open_folder(name: str, root: Path) -> Source:
    """Opens a folder as a source; see `find`."""
    found = find(root)
    entries = Packed(Entry, (Entry(printable(each)) for each in found.files))
    stored = Packed(_File, map(_File, found.files))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(read_file, f"{root}{os.sep}{each.path}") for each in stored)

    unusable = tuple(dataclasses.replace(each, file=printable(each.file)) for each in found.unusable)

    def copy(place: int, _: Path) -> Path:
        return root / next(itertools.islice(stored, place, None)).path

    return Source(name, entries, loaders, found.ignored, unusable, copy=copy)
