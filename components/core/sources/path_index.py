"""Index of files by the ends of their paths, for tables that name files in other words than the disk does."""

import dataclasses
import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PureWindowsPath
from urllib.parse import unquote, urlsplit

from headstart.components.core.sources.file_names import IMAGE_SUFFIXES, escape_name, split_of_path
from headstart.components.core.sources.tables import Row
from headstart.components.core.storage.stores import is_remote

_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class PathIndex:
    """Files by the ends of their paths.

    Args:
        paths: Paths of the files, with forward slashes.
        above: Names of the folders above them, the outermost first.
    """

    def __init__(self, paths: Iterable[str], above: Sequence[str] = ()) -> None:
        self._paths = set(paths)
        self._above = list(above)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self._paths:
            name = path.rpartition("/")[2]
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            self._by_name[_folded(name)].append(path)
            if suffix.lower() in IMAGE_SUFFIXES:
                self._by_name[_folded(stem)].append(path)

    def find(self, image: str, split: str = "") -> list[str]:
        """Paths that an image's name may mean, sorted: those that share most folders with it, whatever their suffix.

        A relative path must share all its folders, an absolute path of another machine its last one: `cats/5.jpg`
        must not become `dogs/5.jpg`.

        Args:
            image: Path as the table has it.
            split: Ready-made split that the table's name gives, to which matches must belong; empty: none.
        """
        if image in self._paths:
            return [image]
        # Paths of Windows and of other systems, without drive or root.
        windows = PureWindowsPath(image)
        parts = windows.parts[1:] if windows.anchor else windows.parts
        if not parts or ".." in parts:
            return []
        *folders, name = parts
        candidates = self._by_name.get(_folded(name), [])
        if split:
            candidates = [path for path in candidates if split_of_path(path) in ("", split)]
        shared = {path: _common_end(folders, [*self._above, *path.split("/")[:-1]]) for path in candidates}
        least = min(1, len(folders)) if windows.anchor else len(folders)
        most = max(least, *shared.values(), 0)
        return sorted(path for path, count in shared.items() if count == most)


def _common_end(first: list[str], second: list[str]) -> int:
    pairs = zip(reversed(first), reversed(second), strict=False)
    return len(list(itertools.takewhile(lambda pair: _folded(pair[0]) == _folded(pair[1]), pairs)))


def _folded(name: str) -> str:
    """A name without differences between systems: capitals, and accents as letters of their own."""
    return unicodedata.normalize("NFC", name).casefold()


@dataclasses.dataclass(frozen=True)
class RowMatches:
    """Rows of a table matched with the files of its own folder or archive.

    Attributes:
        rows: Row of each path that the table names.
        lost: Rows whose image is missing or ambiguous.
        contradicted: Paths that the table gives two classes, with both classes.
    """

    rows: dict[str, Row]
    lost: list[Row]
    contradicted: dict[str, tuple[str, str]]


def match_rows(rows: Iterable[Row], paths: Iterable[str], folder: str, split: str) -> RowMatches:
    """Matches the rows of a table with the files below its folder.

    Args:
        rows: Rows of the table.
        paths: Paths of all files, with forward slashes.
        folder: Folder of the table among them; empty: the top.
        split: Ready-made split that the table's name gives; empty: none.
    """
    below = f"{folder}/" if folder else ""
    index = PathIndex(path.removeprefix(below) for path in paths if path.startswith(below))
    found: dict[str, Row] = {}
    lost = []
    contradicted = {}
    for row in rows:
        image = escape_name(local_path_of(row.image))
        candidates = index.find(image.replace("\\", "/"), split) or index.find(image, split)
        if not row.image or is_remote(row.image) or len(candidates) != 1:
            lost.append(row)
            continue
        path = below + candidates[0]
        before = found.setdefault(path, row)
        if before.label != row.label:
            contradicted[path] = (before.label, row.label)
    return RowMatches({path: row for path, row in found.items() if path not in contradicted}, lost, contradicted)


def local_path_of(image: str) -> str:
    """Path on this machine, given as a path or as a `file://` address."""
    if not image.lower().startswith("file:"):
        return image
    path = unquote(urlsplit(image).path) or image[len("file:") :]
    return path[1:] if _WINDOWS_DRIVE.match(path[1:]) else path
