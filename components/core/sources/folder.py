"""Folders of images on disk."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.file_contents import read_file
from headstart.components.core.sources.file_names import escape_name, is_junk
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.core.sources.source import Entry, Loader, Source
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key


def _refuse(error: OSError) -> NoReturn:
    raise HeadstartError(
        f"folder {str(error.filename)!r} cannot be read by user {os.getuid()} ({error.strerror}); give that user "
        "access, or run the step as a user who has it"
    ) from None


def walk_folder(root: Path, on_error: Callable[[OSError], object] = _refuse) -> Iterator[tuple[Path, list[str]]]:
    """Walks through a folder without junk folders; links to folders are followed, each folder once.

    A folder that lies below the root by its own name is visited under that name, whatever links lead to it. Of
    several links to a folder elsewhere, the first in natural order is followed. So the order of the file system does
    not matter.

    Args:
        root: Folder to walk through.
        on_error: Called with the error for a folder that may not be read; the folder is skipped unless it raises.

    Yields:
        A folder and the names of the files in it.

    Raises:
        HeadstartError: If a folder may not be read, by default.
    """
    unseen = _UnseenFolders(root, on_error)
    waiting = [str(root)]
    while waiting:
        links: list[str] = []
        for top in waiting:
            for folder, subfolders, files in os.walk(top, onerror=on_error):
                kept = []
                for subfolder in subfolders:
                    path = f"{folder}{os.sep}{subfolder}"
                    if is_junk(subfolder):
                        continue
                    if os.path.islink(path):  # noqa: PTH114 - Path's own raises where access is denied
                        links.append(path)
                    elif unseen.take(path):
                        kept.append(subfolder)
                subfolders[:] = kept
                yield Path(folder), files
        waiting = [link for link in sorted(links, key=natural_key) if unseen.take(link)]


class _UnseenFolders:
    """Recognises folders that were visited before, whatever name leads to them."""

    def __init__(self, root: Path, on_error: Callable[[OSError], object]) -> None:
        self._on_error = on_error
        self._seen = {_identity(root)}

    def take(self, path: str) -> bool:
        """Whether a folder can be read and has not been taken before."""
        try:
            identity = _identity(Path(path))
        except OSError as error:
            self._on_error(error)
            return False
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode: each file system numbers its inodes for itself."""
    status = folder.stat()
    return status.st_dev, status.st_ino


@dataclasses.dataclass(frozen=True, slots=True)
class FolderListing:
    """Files below a folder, named relative to it, in the form that the system takes.

    Attributes:
        files: Paths in natural order, without junk.
        unusable: Things that are neither files nor folders: broken links, devices.
        junk: Paths of junk files, see `is_junk`.
    """

    files: list[str]
    unusable: list[QuarantinedFile]
    junk: list[str]


def list_folder(root: Path, on_error: Callable[[OSError], object] = _refuse) -> FolderListing:
    """Lists the files below a folder; links to files and folders are followed, each folder once.

    Args:
        root: Folder to list.
        on_error: See `walk_folder`.

    Raises:
        HeadstartError: If a folder may not be read, by default.
    """
    found, unusable, junk = [], [], []
    for folder, files in walk_folder(root, on_error):
        inside = "" if folder == root else f"{folder.relative_to(root)}{os.sep}"
        for file in files:
            path = inside + file
            if is_junk(file):
                junk.append(path)
            elif not os.path.isfile(f"{root}{os.sep}{path}"):  # noqa: PTH113 - a hundred thousand of them
                # Path's own raises where access is denied.
                kind = "broken link" if os.path.islink(folder / file) else "not a file"  # noqa: PTH114
                unusable.append(QuarantinedFile(path, kind, "neither a file nor a folder lies there"))
            else:
                found.append(path)
    found.sort(key=natural_key)
    return FolderListing(found, unusable, junk)


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    """A file's path below the folder, in the form that the system takes."""

    path: str


def open_folder(name: str, root: Path) -> Source:
    """Opens a folder as a source; see `list_folder`.

    Args:
        name: The folder as the user named it.
        root: Path of the folder.
    """
    listing = list_folder(root)
    entries = ColumnarList(Entry, (Entry(escape_name(each)) for each in listing.files))
    stored = ColumnarList(_File, map(_File, listing.files))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(read_file, f"{root}{os.sep}{each.path}") for each in stored)

    unusable = tuple(dataclasses.replace(each, file=escape_name(each.file)) for each in listing.unusable)

    def copy(place: int, _: Path) -> Path:
        return root / next(itertools.islice(stored, place, None)).path

    return Source(name, entries, loaders, len(listing.junk), unusable, copy=copy)
