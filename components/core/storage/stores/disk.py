"""A folder on disk that several writers share."""

import contextlib
import fcntl
import hashlib
import io
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.files import sha256_of_file, whole_file
from headstart.components.core.storage.stores.objects import Content, NotFound, not_written, overtaken
from headstart.components.core.storage.stores.tree import Tree, checked
from headstart.components.core.util.errors import HeadstartError

_LOCK = ".lock"
_PARTIAL = ".partial"
_ABANDONED_SECONDS = 3600.0
"""A file under its temporary name that nobody has written to for so long belongs to a process that was killed."""


class DiskTree(Tree):
    """A folder on a disk of this machine, or on a network's, which then has to know POSIX locks.

    A file's version is the SHA-256 of its bytes.

    Args:
        folder: Made when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)

    def names(self, folder: str = "") -> list[str]:
        """Lists regular files, those aside that are being written."""
        start = self._folder / checked(folder) if folder else self._folder
        if not start.is_dir():
            return []
        with _reading(start):
            files = [path for path in start.rglob("*") if path.is_file() and not _is_ours(path)]
        return sorted(path.relative_to(self._folder).as_posix() for path in files)

    def read(self, name: str) -> tuple[bytes, str]:
        """Reads a file."""
        path = self._folder / checked(name)
        with _reading(path):
            content = path.read_bytes()
        return content, hashlib.sha256(content).hexdigest()

    def download(self, name: str, target: Path) -> Path:
        """Copies a file."""
        path = self._folder / checked(name)
        with _reading(path):
            file = path.open("rb")
        with file, _writing(target), whole_file(target) as copy:
            shutil.copyfileobj(file, copy)
        return target

    def write(self, name: str, content: Content) -> None:
        """Writes a file under another name, which it then loses."""
        target = self._folder / checked(name)
        with _opened(content) as file, _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            with _durable(target, file) as partial:
                partial.replace(target)
            _sync(target.parent)

    def replace(self, name: str, content: Content, version: str) -> str:
        """Compares and renames while no other process does."""
        target = self._folder / checked(name)
        with _opened(content) as file, _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            with _durable(target, file) as partial:
                written = sha256_of_file(partial)
                with _locked(self._folder / _LOCK):
                    if (sha256_of_file(target) if target.is_file() else "") != version:
                        raise overtaken(target)
                    partial.replace(target)
            _sync(target.parent)
        return written

    def delete(self, name: str) -> None:
        """Removes a file."""
        target = self._folder / checked(name)
        with _writing(target):
            target.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Opens a file without a name in the folder, or in the nearest one above it that exists."""
        nearest = next(each for each in (self._folder, *self._folder.parents) if os.path.lexists(each))
        with _writing(self._folder), tempfile.TemporaryFile(dir=nearest):
            pass


def _is_ours(path: Path) -> bool:
    return path.name == _LOCK or (path.name.startswith(".") and path.name.endswith(_PARTIAL))


def _opened(content: Content) -> io.BufferedIOBase:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


@contextlib.contextmanager
def _durable(target: Path, content: io.BufferedIOBase) -> Iterator[Path]:
    """A file beside `target` whose bytes are on the disk; it is gone in the end unless it was renamed."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_PARTIAL}")
    try:
        with partial.open("xb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Sees that what a folder's files are called is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Removes what killed writers have left."""
    for path in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _writing(path):
        file = _lock_file(path)
    try:
        with _writing(path):
            # The kernel takes the lock from a process that is killed.
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lock_file(path: Path) -> int:
    """Opens it for writing, as a network's disk asks, or for reading, where another user has made it."""
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
        raise not_written(path, error) from None
