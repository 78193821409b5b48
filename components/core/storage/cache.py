"""What is kept from run to run on this machine: weights and records, each complete or absent."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.files import expanded
from headstart.components.core.util.logs import event

CACHE = "HEADSTART_CACHE"
"""The environment variable that names the folder; empty: `headstart` in the user's cache folder."""

_PARTIAL = ".partial-"
_instead: dict[str, Path] = {}
_ABANDONED_SECONDS = 24 * 3600


@contextlib.contextmanager
def empty_cache(kind: str) -> Iterator[None]:
    """Gives the block a cache of its own, which vanishes at its end: its work costs what it does at first.

    Args:
        kind: Name of a folder: ``weights``, ``records``.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        _instead[kind] = Path(folder)
        try:
            yield
        finally:
            del _instead[kind]


def cache_folder(kind: str) -> Path | None:
    """The folder of one kind of things, made if need be; None, and a line in the log, where nothing can be written.

    Args:
        kind: Name of a folder: ``weights``, ``records``.
    """
    if kind in _instead:
        return _instead[kind]
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "headstart"
    folder = Path(os.environ.get(CACHE) or usual) / kind
    try:
        folder = expanded(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        event("cache_not_used", folder=folder, reason=error, way_out=f"name another folder in {CACHE}")
        return None
    return folder


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A new folder inside of `folder`, to make something in that `keep` then takes; removed at the block's end."""
    for old in folder.glob(f"{_PARTIAL}*"):
        # Of processes that were killed. The folder of one that lives is younger.
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def keep(made: Path, target: Path) -> Path:
    """Moves a finished file or folder to its place; where another process was first, its own stays."""
    try:
        return made.rename(target)
    except OSError:
        if not target.exists():
            raise
        return target


def discard(entry: Path) -> None:
    """Removes a file or folder, which nobody finds any more from the first moment on."""
    with contextlib.suppress(OSError), building(entry.parent) as place:
        entry.rename(place / entry.name)


def touch(entry: Path) -> None:
    """Marks an entry as used, where that is allowed."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def make_room(folder: Path, limit: int, spared: Path) -> None:
    """Discards the entries that were not used for longest until those left take no more than `limit` bytes.

    Args:
        folder: Of the cache.
        limit: In bytes.
        spared: An entry that stays in any case.
    """
    found = []
    for entry in folder.iterdir():
        if not entry.name.startswith(_PARTIAL):
            with contextlib.suppress(OSError):
                found.append((entry.stat().st_mtime, _bytes(entry), entry))
    total = sum(size for _, size, _ in found)
    for _, size, entry in sorted(found):
        if total <= limit:
            return
        if entry != spared:
            discard(entry)
            total -= size
            event("cache_discarded", entry=entry, bytes=size)


def _bytes(entry: Path) -> int:
    return sum(file.stat().st_size for file in (entry, *entry.rglob("*")) if file.is_file())
