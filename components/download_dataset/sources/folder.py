"""A folder of pictures on disk."""

import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from headstart.components.core.errors import HeadstartError
from headstart.components.core.natural import natural_key
from headstart.components.download_dataset.quarantine import Quarantined
from headstart.components.download_dataset.sources.packed import Packed
from headstart.components.download_dataset.sources.source import Entry, Loader, Source, is_junk, read_file, shown


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Walks through a folder, folders of junk left out; links to folders are followed, each folder once.

    Yields:
        A folder and the names of the files in it.

    Raises:
        HeadstartError: A folder may not be read.
    """
    seen = {_identity(root)}
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_refuse):
        kept = []
        for subfolder in subfolders:
            identity = _identity(Path(folder, subfolder))
            if identity not in seen and not is_junk(subfolder):
                seen.add(identity)
                kept.append(subfolder)
        subfolders[:] = kept
        yield Path(folder), files


def _identity(folder: Path) -> tuple[int, int]:
    """Of a folder, whatever it is called; file systems count their inodes each for itself."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise HeadstartError(
        f"folder {str(error.filename)!r} cannot be read by user {os.getuid()} ({error.strerror}); let that user read "
        "it, or run the step as one who may"
    ) from None


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    """A file's path below the folder, as the system names it."""

    path: str


def open_folder(name: str, root: Path) -> Source:
    """Opens a folder; links to files and folders are followed, each folder once."""
    names, unusable, ignored = [], [], 0
    for folder, files in walk(root):
        inside = "" if folder == root else f"{folder.relative_to(root)}{os.sep}"
        for file in files:
            path = inside + file
            if is_junk(file):
                ignored += 1
            elif not os.path.isfile(f"{root}{os.sep}{path}"):  # noqa: PTH113 - a hundred thousand of them
                kind = "broken link" if (folder / file).is_symlink() else "not a file"
                unusable.append(Quarantined(shown(path), kind, "neither a file nor a folder lies there"))
            else:
                names.append(path)
    names.sort(key=natural_key)
    entries = Packed(Entry, (Entry(shown(each)) for each in names))
    stored = Packed(_File, map(_File, names))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(read_file, f"{root}{os.sep}{each.path}") for each in stored)

    return Source(name, entries, loaders, ignored, tuple(unusable))
