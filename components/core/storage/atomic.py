"""Files and folders that are complete or absent, whenever the writer is killed or the power fails.

Everything is written under a temporary name beside its own, flushed to the disk and renamed.
"""

import contextlib
import errno
import glob
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
"""Ending of temporary files and beginning of the names of temporary folders, both hidden."""

_ABANDONED_FILE_SECONDS = 3600.0
_ABANDONED_FOLDER_SECONDS = 24 * 3600.0
# Folders on some network disks cannot be flushed, and those that one may not list cannot be opened.
_NOT_FLUSHED = (errno.EACCES, errno.EPERM, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def open_atomic(path: Path, flush: bool = True) -> Iterator[io.BufferedWriter]:
    """Opens a file for writing; it takes its place when the `with` block ends without an error, and not before.

    Several writers of one file do not disturb each other: the last one to end wins.

    Args:
        path: File to write, in a folder that exists. A file of that name is replaced.
        flush: Whether the content must be on the disk before it takes its place. False: for temporary folders.
    """
    remove_abandoned(path.parent, path.name)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            if flush:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if flush:
        flush_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically, without NaN and infinity."""
    with open_atomic(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Indented JSON in UTF-8, without NaN and infinity, as all JSON files of artifacts have it."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def complete_folder(folder: Path, manifest: str, value: Any) -> None:
    """Writes the manifest that makes a folder an artifact, once all its other files are on the disk.

    Args:
        folder: Folder that holds everything but the manifest.
        manifest: File name of the manifest.
        value: Content of the manifest, as JSON.
    """
    flush_files(folder)
    write_json(folder / manifest, value)


def flush_files(folder: Path) -> None:
    """Waits until all files in a folder, and their names, are on the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        flush_folder(Path(place))


def make_empty_folder(path: Path) -> Path:
    """Makes `path` an empty folder: a retried step must not keep what its last attempt left there."""
    if os.path.lexists(path):
        remove_at_once(path)
    path.mkdir(parents=True)
    return path


def remove_at_once(path: Path) -> None:
    """Removes a file or folder; from the first moment on, nobody finds any part of it."""
    with temporary_folder_in(path.parent) as place:
        path.rename(place / path.name)


@contextlib.contextmanager
def temporary_folder_in(folder: Path) -> Iterator[Path]:
    """Makes a hidden folder in `folder`, for files that `move_into_place` then takes; it is removed in the end."""
    for old in folder.glob(f"{PARTIAL}-*"):
        if _is_abandoned(old, _ABANDONED_FOLDER_SECONDS):
            shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def move_into_place(made: Path, target: Path) -> Path:
    """Moves a finished file or folder to its place; if another process was first, its result stays.

    The content is not flushed to the disk: whoever reads it compares its checksum.

    Args:
        made: Finished file or folder, on the disk of `target`.
        target: Its place.

    Returns:
        `target`.
    """
    try:
        return made.rename(target)
    except OSError:
        if not target.exists():
            raise
        return target


def remove_abandoned(folder: Path, name: str = "") -> None:
    """Removes temporary files of writers that were killed, more than an hour after they last wrote.

    Args:
        folder: Folder to search.
        name: File that they were writing; empty: any file.
    """
    for path in folder.glob(f".{glob.escape(name) or '*'}.*{PARTIAL}"):
        if _is_abandoned(path, _ABANDONED_FILE_SECONDS):
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except OSError:
        return False


def flush_folder(folder: Path) -> None:
    """Waits until the names of the files in a folder are on the disk, if the file system supports that."""
    handle = -1
    try:
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_FLUSHED:
            raise
    finally:
        if handle >= 0:
            os.close(handle)
