"""A table that lists pictures and their classes, and where these pictures lie."""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import re
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from headstart.components.core.images.unsupported import identify_unsupported_zip
from headstart.components.core.sources.columns import Reading
from headstart.components.core.sources.folder import walk
from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.source import (
    PICTURE_SUFFIXES,
    Entry,
    Loader,
    Source,
    Unreadable,
    printable,
    read_file,
    read_stored,
    shown,
    split_of_path,
)
from headstart.components.core.sources.tables import Row, is_table, read_table
from headstart.components.core.storage.stores import (
    Store,
    distinct_without_secrets,
    is_remote,
    is_web,
    open_store,
    scheme_of,
)
from headstart.components.core.storage.stores.hosts import HostPatience
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home

_MAX_BYTES = 2**30
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    """A picture's address or path; where there is none, what a row of the manifest says and why there is none."""

    address: str
    reason: str = ""
    detail: str = ""


def is_manifest(name: str) -> bool:
    """Whether a file, which could be any text, is a manifest by its name."""
    return is_table(name)


def base_of(address: str) -> str:
    """What a stored manifest's relative paths start from: the address without what signs it, up to the last slash."""
    if is_web(address):
        scheme, host, path, *_ = urlsplit(address)
        address = urlunsplit((scheme, host, path, "", ""))
    return address.rpartition("/")[0]


def open_manifest(name: str, path: Path, base: str, reading: Reading) -> Source:
    """Opens a manifest; see `read_table` for its forms.

    A picture is named by a path relative to the manifest, or by an address; a local manifest may name absolute paths
    too. Further columns go along with the pictures, unless they are called like one of the dataset's own.

    Args:
        name: The manifest as it may be shown.
        path: The file on disk.
        base: What relative paths start from: a folder, or what `base_of` says.
        reading: Which columns to take.

    Raises:
        HeadstartError: If it is no such file, lacks a column, or a label is none.
    """
    rows = _rows(name, path, reading)
    pictures = Pictures(base, PurePosixPath(name).name)
    images = Packed(_Image, (pictures.image(row.image) for row in rows))
    entries = Packed(Entry, (entry_of(row) for row in rows))
    return Source(name, entries, lambda: map(pictures.loader, images), remote=pictures.are_remote(rows))


def entry_of(row: Row, path: str = "") -> Entry:
    """A picture's entry.

    Args:
        row: The picture as a table names it.
        path: The picture's path in its source; empty: as the table has it.
    """
    return Entry(path or shown_image(row.image), row.label, row.split, json.dumps(row.extra) if row.extra else "")


def shown_image(named: str) -> str:
    """How a table names a picture, as it may be shown: an address without what gives access to it."""
    try:
        remote = is_remote(named)
    except ValueError:
        # It is no address, and whatever stands in it cannot be told apart.
        remote = True
    return printable(distinct_without_secrets(named) if remote else named)


def references(name: str, path: Path, base: str, reading: Reading) -> Iterator[str]:
    """The addresses of the pictures that a manifest names, relative ones made whole; see `open_manifest`.

    Raises:
        HeadstartError: If it is no such file, lacks a column, or a label is none.
    """
    pictures = Pictures(base, PurePosixPath(name).name)
    for row in _rows(name, path, reading):
        image = pictures.image(row.image)
        if not image.reason:
            yield image.address


def _rows(name: str, path: Path, reading: Reading) -> list[Row]:
    if path.stat().st_size > _MAX_BYTES:
        raise HeadstartError(f"manifest {name!r} has more than {_MAX_BYTES:,} bytes; split it")
    if zipfile.is_zipfile(path):
        kind, way_out = identify_unsupported_zip(path) or ("zip archive", "give it the ending .zip")
        raise HeadstartError(f"manifest {name!r} cannot be read, as it is of the kind {kind}; {way_out}")
    rows = read_table(name, path.read_bytes(), reading)
    if not rows:
        raise HeadstartError(f"manifest {name!r} holds no files: it lists no picture; write one a line")
    return rows


class Pictures:
    """Pictures that a table names, beside it or elsewhere.

    Args:
        base: Folder or address that relative paths start from.
        name: The table's name; a split that it speaks of has to be that of the pictures that are looked for.
    """

    def __init__(self, base: str, name: str = "") -> None:
        self._base = base
        self._store = functools.lru_cache(maxsize=None)(lambda scheme: open_store(f"{scheme}://"))
        self._hosts = HostPatience()
        self._split = split_of_path(name)
        self._beside = functools.cache(lambda: _Index(_files_below(Path(base)), Path(base).absolute().parts))

    def are_remote(self, rows: Iterable[Row]) -> bool:
        """Whether reading some of them waits for a network."""
        return is_remote(self._base) or any(is_remote(row.image) for row in rows)

    def image(self, named: str, folder: str = "") -> _Image:
        """Where a picture lies, as a whole address or path.

        Args:
            named: The picture as the table names it.
            folder: Where the table lies, relative to the base; empty: there.
        """
        if not named:
            return _Image("", "missing", "the manifest names no file")
        if is_remote(named):
            try:
                return (
                    _Image(named) if urlsplit(named).netloc else _Image("", "unreadable", "the address has no host")
                )
            except ValueError as error:
                return _Image("", "unreadable", f"this is no address: {error}")
        if scheme_of(named) not in ("", "file"):
            return _Image("", "unreadable", f"there is no store for {scheme_of(named)}:// addresses")
        if is_remote(self._base):
            if named.startswith("/") or scheme_of(named):
                return _Image("", "unreadable", "a manifest from elsewhere may not name files of this machine")
            relative = named.replace("\\", "/") if "/" not in named else named
            relative = f"{folder}/{relative}" if folder else relative
            return _Image(f"{self._base}/{quote(relative) if is_web(self._base) else relative}")
        return self._on_disk(named, folder)

    def loader(self, image: _Image) -> Loader:
        """Reads a picture's bytes, on any thread; what is wrong with its address concerns that picture alone."""
        return functools.partial(self._load, image)

    def _load(self, image: _Image) -> bytes:
        if image.reason:
            raise Unreadable(image.reason, image.detail)
        if not is_remote(image.address):
            return read_file(Path(image.address))
        store: Store = self._store(scheme_of(image.address))
        try:
            with self._hosts.bounded(image.address):
                return read_stored(store, image.address)
        except HeadstartError as error:
            raise Unreadable("unreadable", str(error)) from None

    def _on_disk(self, named: str, folder: str) -> _Image:
        """The file itself, or the only one that can be meant: with other slashes, an ending, or a folder above it."""
        path = _local(named)
        beside = os.path.join(self._base, folder, path)  # noqa: PTH118
        if folder and os.path.lexists(beside):
            return _Image(beside)
        direct = os.path.join(self._base, expand_home(path))  # noqa: PTH118 - a hundred thousand of them
        if os.path.lexists(direct) or "\0" in direct:
            return _Image(direct)
        with contextlib.suppress(HeadstartError):
            found = self._beside().find(path, self._split)
            if len(found) == 1:
                return _Image(os.path.join(self._base, found[0]))  # noqa: PTH118
            if found:
                return _Image("", "missing", f"no such file; it could be {' or '.join(map(shown, found[:3]))}")
        return _Image(direct)


def _local(named: str) -> str:
    """A path of this machine, of what is one or its `file://` address."""
    if not named.lower().startswith("file:"):
        return named
    path = unquote(urlsplit(named).path) or named[len("file:") :]
    return path[1:] if _WINDOWS_DRIVE.match(path[1:]) else path


def _files_below(folder: Path) -> list[str]:
    return [str((inside / file).relative_to(folder)) for inside, files in walk(folder) for file in files]


class _Index:
    """Files by the ends of their paths, for those that a table names in another way than they are called.

    Args:
        paths: Their paths with forward slashes.
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
            if suffix.lower() in PICTURE_SUFFIXES:
                self._by_name[_folded(stem)].append(path)

    def find(self, named: str, split: str = "") -> list[str]:
        """Paths that can be meant, sorted: those that share most folders with the name, whatever its ending.

        A relative path has to share all its folders, and one of another machine its last: `cats/5.jpg` must not
        become `dogs/5.jpg`. Those of another split than the table's are not meant.

        Args:
            named: The picture as the table names it.
            split: Ready-made split that the table's name speaks of; empty: none.
        """
        if named in self._paths:
            return [named]
        # As Windows or any other system writes it, from its drive or root on.
        windows = PureWindowsPath(named)
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
    """A name without what systems write differently: capitals, and accents as a letter of their own."""
    return unicodedata.normalize("NFC", name).casefold()


@dataclasses.dataclass(frozen=True)
class Matched:
    """The pictures of a table among the files of its own folder or archive.

    Attributes:
        rows: The row of each path that the table names.
        lost: The rows whose picture is not there, or could be several.
        contradicted: Paths that the table gives two classes, with both.
    """

    rows: dict[str, Row]
    lost: list[Row]
    contradicted: dict[str, tuple[str, str]]


def matched(rows: Iterable[Row], paths: Iterable[str], folder: str, split: str) -> Matched:
    """Finds the pictures of a table among the files below its folder.

    Args:
        rows: The table's rows.
        paths: Paths of all files, with forward slashes.
        folder: Where the table lies among them; empty: at the top.
        split: Ready-made split that the table's name speaks of; empty: none.
    """
    below = f"{folder}/" if folder else ""
    index = _Index(path.removeprefix(below) for path in paths if path.startswith(below))
    found: dict[str, Row] = {}
    lost = []
    contradicted = {}
    for row in rows:
        named = printable(_local(row.image))
        candidates = index.find(named.replace("\\", "/"), split) or index.find(named, split)
        if not row.image or is_remote(row.image) or len(candidates) != 1:
            lost.append(row)
            continue
        path = below + candidates[0]
        before = found.setdefault(path, row)
        if before.label != row.label:
            contradicted[path] = (before.label, row.label)
    return Matched({path: row for path, row in found.items() if path not in contradicted}, lost, contradicted)
