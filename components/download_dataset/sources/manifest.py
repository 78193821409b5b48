"""A CSV or JSON-lines file that lists pictures and their classes."""

import contextlib
import csv
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.components.core.dataset import schema
from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores import Store, is_remote, open_store, scheme_of
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

SUFFIXES = (".csv", ".jsonl", ".ndjson")

_NEEDED = ("image", "label")
_OWN = set(schema([]).names)


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    """A picture as the manifest names it."""

    image: str


def open_manifest(name: str, path: Path, base: str, is_json: bool) -> Source:
    """Opens a manifest with the columns `image` and `label`, and `split` if it likes.

    `image` is a path relative to the manifest, or an address; a local manifest may name absolute paths too. Further
    columns go along with the pictures, unless they are called like one of the dataset's own.

    Args:
        name: The manifest as the user named it.
        path: The file on disk.
        base: What relative paths start from: a folder, or the address of one.
        is_json: Whether each line is a JSON object; otherwise it is CSV with a header.

    Raises:
        HeadstartError: It is no such file, or lacks a column.
    """
    rows = _rows(name, path, is_json)
    store = functools.lru_cache(maxsize=None)(lambda scheme: open_store(f"{scheme}://"))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(_load, store, base, each.image) for each in images)

    remote = is_remote(base) or any(is_remote(row["image"]) for row in rows)
    entries = Packed(
        Entry,
        (Entry(shown(row["image"]), shown(row["label"]), row.get("split", "").lower(), _extra(row)) for row in rows),
    )
    images = Packed(_Image, (_Image(row["image"]) for row in rows))
    return Source(name, entries, loaders, remote=remote)


def _extra(row: dict[str, str]) -> str:
    extra = {shown(name): shown(value) for name, value in row.items() if name and name not in _OWN}
    return json.dumps(extra) if extra else ""


def references(name: str, path: Path, base: str) -> Iterator[str]:
    """The addresses of the pictures that a manifest names, relative ones made whole; see `open_manifest`.

    Raises:
        HeadstartError: It is no such file, or lacks a column.
    """
    for row in _rows(name, path, is_json=not name.lower().endswith(".csv")):
        with contextlib.suppress(Unreadable):
            yield _address(base, row["image"])


def _rows(name: str, path: Path, is_json: bool) -> list[dict[str, str]]:
    try:
        return list(_json_rows(name, path) if is_json else _csv_rows(name, path))
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
            yield {key: "" if value is None else str(value) for key, value in row.items()}


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
        return f"{base}/{image}"
    return str(Path(base, image.removeprefix("file://")).expanduser())
