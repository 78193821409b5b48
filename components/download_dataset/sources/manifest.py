"""A CSV or JSON-lines file that lists pictures and their classes."""

import contextlib
import csv
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit, urlunsplit

from headstart.components.core.dataset import schema
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import expanded
from headstart.components.core.stores import (
    Store,
    distinct_without_secrets,
    is_remote,
    is_web,
    open_store,
    scheme_of,
)
from headstart.components.download_dataset.sources.packed import Packed
from headstart.components.download_dataset.sources.source import (
    Entry,
    Loader,
    Source,
    Unreadable,
    read_file,
    read_stored,
    shown,
)

_SUFFIXES = (".csv", ".jsonl", ".ndjson")
_NEEDED = ("image", "label")
_OWN = {*schema([]).names, "path"}


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    """A picture as the manifest names it."""

    image: str


def is_manifest(name: str) -> bool:
    """Whether a file, which could be any text, is a manifest by its name."""
    return _suffix(name) in _SUFFIXES


def base_of(address: str) -> str:
    """What a stored manifest's relative paths start from: the address without what signs it, up to the last slash."""
    if is_web(address):
        scheme, host, path, *_ = urlsplit(address)
        address = urlunsplit((scheme, host, path, "", ""))
    return address.rpartition("/")[0]


def open_manifest(name: str, path: Path, base: str) -> Source:
    """Opens a manifest with the columns `image` and `label`, and `split` if it likes.

    `image` is a path relative to the manifest, or an address; a local manifest may name absolute paths too. Further
    columns go along with the pictures, unless they are called like one of the dataset's own.

    Args:
        name: The manifest as it may be shown; by its end it is CSV with a header, or has a JSON object on each line.
        path: The file on disk.
        base: What relative paths start from: a folder, or what `base_of` says.

    Raises:
        HeadstartError: It is no such file, or lacks a column.
    """
    rows = _rows(name, path)
    store = functools.lru_cache(maxsize=None)(lambda scheme: open_store(f"{scheme}://"))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(_load, store, base, each.image) for each in images)

    remote = is_remote(base) or any(is_remote(row["image"]) for row in rows)
    entries = Packed(
        Entry,
        (Entry(_shown(row["image"]), shown(row["label"]), row.get("split", "").lower(), _extra(row)) for row in rows),
    )
    images = Packed(_Image, (_Image(row["image"]) for row in rows))
    return Source(name, entries, loaders, remote=remote)


def _shown(image: str) -> str:
    return shown(distinct_without_secrets(image) if is_remote(image) else image)


def _extra(row: dict[str, str]) -> str:
    extra = {shown(name): shown(value) for name, value in row.items() if name and name not in _OWN}
    return json.dumps(extra) if extra else ""


def references(name: str, path: Path, base: str) -> Iterator[str]:
    """The addresses of the pictures that a manifest names, relative ones made whole; see `open_manifest`.

    Raises:
        HeadstartError: It is no such file, or lacks a column.
    """
    for row in _rows(name, path):
        with contextlib.suppress(Unreadable):
            yield _address(base, row["image"])


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix


def _rows(name: str, path: Path) -> list[dict[str, str]]:
    try:
        return list(_csv_rows(name, path) if _suffix(name) == ".csv" else _json_rows(name, path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(f"manifest {name!r} is no UTF-8 text with one picture a line ({error})") from None


def _csv_rows(name: str, path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, restval="")
        _check_columns(name, list(rows.fieldnames or []))
        for row in rows:
            yield {key: value.strip() for key, value in row.items() if isinstance(key, str) and value is not None}


def _json_rows(name: str, path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise HeadstartError(f"manifest {name!r}, line {number}: no JSON ({error})") from None
            _check_columns(f"{name}, line {number}", list(row) if isinstance(row, dict) else [])
            yield {_text(key): "" if value is None else _text(value) for key, value in row.items()}


def _text(value: object) -> str:
    """A JSON key or value as text; half a character, which UTF-8 cannot say, becomes a question mark."""
    return str(value).encode(errors="replace").decode()


def _check_columns(where: str, columns: list[str]) -> None:
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        raise HeadstartError(
            f"manifest {where!r} has the columns {', '.join(columns) or '(none)'}; it lacks {' and '.join(missing)}"
        )


def _load(store: Callable[[str], Store], base: str, image: str) -> bytes:
    address = _address(base, image)
    if is_remote(address):
        return read_stored(store(scheme_of(address)), address)
    return read_file(Path(address))


def _address(base: str, image: str) -> str:
    """Where a picture lies, as a whole address or path.

    Raises:
        Unreadable: The manifest names none that may be read.
    """
    if not image:
        raise Unreadable("missing", "the manifest names no file")
    if is_remote(image):
        return image
    if is_remote(base):
        if image.startswith("/") or scheme_of(image):
            raise Unreadable("unreadable", "a manifest from elsewhere may not name files of this machine")
        return f"{base}/{quote(image) if is_web(base) else image}"
    return str(Path(base, expanded(image.removeprefix("file://"))))
