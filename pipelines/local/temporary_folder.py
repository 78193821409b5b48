"""One folder for all temporary files of a command and its processes, which goes with them."""

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
    """Makes a folder in the temporary folder, and the temporary folder of this process and those that it starts.

    kfp leaves a folder for each task in the temporary folder, and a process that is killed whatever it had there. All
    of that lies in this folder, which is removed at the end. It is locked while its owner lives: those whose owners
    were killed are removed here, too.

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
        # Another command may just have taken it for one that was left behind, and be removing it. Where there are no
        # locks nothing is ever taken for that.
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
        # Others' folders, and what is no folder at all, stay.
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                if os.fstat(lock).st_uid == os.getuid() and _locked(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
