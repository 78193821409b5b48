"""Cache on this machine of what runs can reuse, pretrained weights and features; each entry is complete or absent."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.atomic import PARTIAL, remove_at_once
from headstart.components.core.util.logs import event
from headstart.components.core.util.paths import expand_home

CACHE = "HEADSTART_CACHE"
"""Environment variable with the folder of the cache; empty: `headstart` in the user's cache folder."""

_instead: dict[str, Path] = {}


@contextlib.contextmanager
def temporary_cache(kind: str) -> Iterator[None]:
    """Uses an empty cache in a `with` block and deletes it at the end, so that nothing is reused.

    Args:
        kind: Folder of the cache: ``weights`` or ``records``.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        _instead[kind] = Path(folder)
        try:
            yield
        finally:
            del _instead[kind]


def cache_folder(kind: str) -> Path | None:
    """Folder of one kind of entries, made if it is missing; None, and a line in the log, if it cannot be written.

    Args:
        kind: Folder of the cache: ``weights`` or ``records``.
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


def discard_entry(entry: Path) -> None:
    """Deletes an entry, unless another process has done so."""
    with contextlib.suppress(OSError):
        remove_at_once(entry)


def mark_used(entry: Path) -> None:
    """Marks an entry as used now, if that is permitted."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def evict_unused(folder: Path, limit: int, spared: Path) -> None:
    """Deletes the least recently used entries until the others take no more than `limit` bytes.

    Args:
        folder: Folder of the cache.
        limit: Total size in bytes.
        spared: Entry that stays in any case.
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
            discard_entry(entry)
            total -= size
            event("cache_discarded", entry=entry, bytes=size)


def _bytes(entry: Path) -> int:
    return sum(file.stat().st_size for file in (entry, *entry.rglob("*")) if file.is_file())
