"""Folders on disk that several writers share."""

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headstart.components.core.storage.atomic import PARTIAL, open_atomic, remove_abandoned
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.stores.objects import Content, NotFound, conflict_error, write_error
from headstart.components.core.storage.stores.tree import Tree, check_name
from headstart.components.core.util.errors import HeadstartError

_LOCK = ".lock"


class DiskTree(Tree):
    """A folder on a disk of this machine, or on a network disk that supports POSIX locks.

    The version of a file is the SHA-256 of its bytes.

    Args:
        folder: Folder, which is made when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)

    def names(self, folder: str = "") -> list[str]:
        """Lists regular files, except those that are being written."""
        start = self._folder / check_name(folder) if folder else self._folder
        if not start.is_dir():
            return []
        with _reading(start):
            files = [path for path in start.rglob("*") if path.is_file() and not _is_ours(path)]
        return sorted(path.relative_to(self._folder).as_posix() for path in files)

    def read(self, name: str) -> tuple[bytes, str]:
        """Reads a file."""
        path = self._folder / check_name(name)
        with _reading(path):
            content = path.read_bytes()
        return content, hashlib.sha256(content).hexdigest()

    def download(self, name: str, target: Path) -> Path:
        """Copies a file."""
        path = self._folder / check_name(name)
        with _reading(path):
            file = path.open("rb")
        with file, _writing(target), open_atomic(target) as copy:
            shutil.copyfileobj(file, copy)
        return target

    def write(self, name: str, content: Content) -> None:
        """Writes a file atomically."""
        target = self._folder / check_name(name)
        with _opened(content) as file, _writing(target), _open_below(target) as copy:
            shutil.copyfileobj(file, copy)

    def replace(self, name: str, content: Content, version: str) -> str:
        """Compares the version and renames the new file under a lock."""
        target = self._folder / check_name(name)
        # The lock is released last, after the rename.
        with _opened(content) as file, _writing(target), contextlib.ExitStack() as stack, _open_below(target) as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            written = sha256_of_file(Path(copy.name))
            stack.enter_context(_locked(self._folder / _LOCK))
            if (sha256_of_file(target) if target.is_file() else "") != version:
                raise conflict_error(target)
        return written

    def check_writable(self) -> None:
        """Opens a file without a name in the folder, or in the nearest parent that exists."""
        nearest = next(each for each in (self._folder, *self._folder.parents) if os.path.lexists(each))
        with _writing(self._folder), tempfile.TemporaryFile(dir=nearest):
            pass


def _is_ours(path: Path) -> bool:
    return path.name == _LOCK or (path.name.startswith(".") and path.name.endswith(PARTIAL))


def _opened(content: Content) -> io.BufferedIOBase:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


@contextlib.contextmanager
def _open_below(target: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing atomically; a missing folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent)
    with open_atomic(target) as file:
        yield file


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _writing(path):
        file = _lock_file(path)
    try:
        with _writing(path):
            # The kernel releases the lock of a process that is killed.
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lock_file(path: Path) -> int:
    """Opens the file for writing, as network disks require, or for reading if another user has made it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise HeadstartError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from None
