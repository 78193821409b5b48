"""What is kept from run to run on this machine: weights and records, each complete or absent."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.atomic import PARTIAL, remove_at_once
from headstart.components.core.util.logs import event
from headstart.components.core.util.paths import expand_home

CACHE = "HEADSTART_CACHE"
"""The environment variable that names the folder; empty: `headstart` in the user's cache folder."""

_instead: dict[str, Path] = {}


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
        folder = expand_home(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        event("cache_not_used", folder=folder, reason=error, way_out=f"name another folder in {CACHE}")
        return None
    return folder


def discard(entry: Path) -> None:
    """Removes an entry, unless another process has done so."""
    with contextlib.suppress(OSError):
        remove_at_once(entry)


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
        if not entry.name.startswith(PARTIAL):
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
