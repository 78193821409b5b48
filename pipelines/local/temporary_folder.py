"""One folder for all temporary files of a command and its processes, removed with them."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.util.errors import HeadstartError

_PREFIX = "headstart-run-"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Makes a temporary folder for this process and those that it starts, and removes it at the end.

    kfp leaves a folder for each task, and a killed process leaves its files; all of them lie in this folder. It is
    locked while its owner lives: folders whose owners were killed are removed here, too.

    Raises:
        HeadstartError: If the temporary folder cannot be written.
    """
    before, set_before = os.environ.get("TMPDIR"), tempfile.tempdir
    try:
        place = Path(tempfile.gettempdir())
        _remove_abandoned(place)
        folder, lock = _make_locked(place)
    except OSError as error:
        where = f"the temporary folder {tempfile.tempdir!r}" if tempfile.tempdir else "no temporary folder"
        can = "cannot" if tempfile.tempdir else "can"
        raise HeadstartError(
            f"{where} {can} be written to ({error.strerror}); name a folder with room in TMPDIR"
        ) from None
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = set_before
        if before is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_locked(place: Path) -> tuple[Path, int]:
    """A new folder, and the open file that locks it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        # Another command may take it for an abandoned one just now, and remove it. Without locks no folder counts as
        # abandoned.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError:
            return folder, lock
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        # Folders of other users, and files, stay.
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                if os.fstat(lock).st_uid == os.getuid() and _try_lock(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _try_lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
