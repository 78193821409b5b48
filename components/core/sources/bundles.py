"""What the files of a folder, an archive or a prefix are to each other: tables beside pictures, samples, archives."""

import contextlib
import dataclasses
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from headstart.components.core.images.unsupported import identify_unsupported_name, is_spreadsheet
from headstart.components.core.sources.columns import Reading, column_of_labels, label_text
from headstart.components.core.sources.manifest import Matched, entry_of, matched
from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.quarantine import Quarantined
from headstart.components.core.sources.source import (
    PICTURE_SUFFIXES,
    Entry,
    Loader,
    Source,
    Unreadable,
    is_sidecar,
    shown,
    split_of_path,
)
from headstart.components.core.sources.tables import JSON_SUFFIXES, TEXT_SUFFIXES, Row, read_table
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import quoted

ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"),
    *(".tar.zstd", ".tzst"),
)

HUGGING_FACE_TABLE = "metadata"
"""Name of the table beside pictures that `datasets` reads."""

_TABLE_NAMES = (HUGGING_FACE_TABLE, "labels", "_classes", "annotations", "train", "index", "data", "manifest")
# Kaggle's form for answers, whose classes are made up.
_NO_TABLE = "submission"
_MOST_TABLES = 16
_CLASS_FILE, _JSON_FILE = ".cls", ".json"


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def interpreted(source: Source, reading: Reading, is_tar: bool = False) -> Source:
    """The pictures of a source, with what tables and samples in it say of them; what lies beside them is counted.

    Args:
        source: All its files.
        reading: How sources are read.
        is_tar: Whether it is a tar archive, in which `1.jpg` and `1.cls` may be one sample (WebDataset).

    Raises:
        HeadstartError: If a table and the folders each tell classes, and other ones; or there are no pictures, or no
            classes of them, but files of a kind that is not read.
    """
    paths = [entry.path for entry in source.entries]
    if not any(_is_picture(path) for path in paths):
        _refuse_foreign(source.name, paths)
        return _without_sidecars(source, paths, reading)
    asked = reading.labelled and reading.labels in ("auto", "given")
    if asked and is_tar and (labels := _labels_of_samples(source, paths)):
        return _labelled(source, labels)
    if asked and (rows := _rows_of_tables(source, paths, reading)):
        return rows
    if asked and len(_classes_by_folder(filter(_is_picture, paths))) < 2:
        _refuse_foreign(source.name, filter(is_spreadsheet, paths))
    return _without_sidecars(source, paths, reading)


def joined(name: str, parts: Sequence[tuple[str, Source]], ignored: int) -> Source:
    """Several sources as one, the files of each below a folder of their own.

    Args:
        name: The source as the user named it.
        parts: The name of each one's folder, and the source.
        ignored: How many other files there are.
    """

    def below(folder: str, source: Source) -> Callable[[str], str]:
        has_it = all(entry.path.startswith(f"{folder}/") for entry in source.entries)
        return lambda path: path if has_it else f"{folder}/{path}"

    placed = [(below(folder, source), source) for folder, source in parts]
    entries = Packed(
        Entry,
        (dataclasses.replace(entry, path=place(entry.path)) for place, source in placed for entry in source.entries),
    )
    unusable = [
        dataclasses.replace(each, file=place(each.file)) for place, source in placed for each in source.unusable
    ]
    return Source(
        name,
        entries,
        lambda: itertools.chain.from_iterable(source.loaders() for _, source in placed),
        ignored + sum(source.ignored for _, source in placed),
        tuple(unusable),
        any(source.remote for _, source in placed),
    )


def contents(source: Source, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """The bytes of some files, by their places among the entries; one that cannot be read is passed over."""
    last = max(wanted, default=-1)
    for place, load in enumerate(itertools.islice(source.loaders(), last + 1)):
        if place in wanted:
            with contextlib.suppress(Unreadable):
                yield place, load()


def _refuse_foreign(name: str, paths: Iterable[str]) -> None:
    for path in paths:
        if found := identify_unsupported_name(path):
            kind, way_out = found
            raise HeadstartError(
                f"data {name!r} holds {path}, which cannot be read, as it is of the kind {kind}; {way_out}"
            )


def _is_picture(path: str) -> bool:
    return os.path.splitext(path.lower())[1] in PICTURE_SUFFIXES  # noqa: PTH122 - a hundred thousand of them


def _without_sidecars(source: Source, paths: list[str], reading: Reading) -> Source:
    """A source without what lies beside pictures, unless it holds nothing else.

    A table that may tell classes stays where there have to be some: that it was not taken has to be noticed.
    """
    places = {
        place
        for place, path in enumerate(paths)
        if is_sidecar(path) or (not reading.labelled and path.lower().endswith((*TEXT_SUFFIXES, *JSON_SUFFIXES)))
    }
    return _chosen(source, {}, places) if 0 < len(places) < len(paths) else source


def _labelled(source: Source, labels: dict[int, str]) -> Source:
    """The files that have a label, with it."""
    every = enumerate(source.entries)
    entries = {place: Entry(entry.path, labels[place]) for place, entry in every if place in labels}
    return _chosen(source, entries, set(range(len(source.entries))) - set(labels))


def _chosen(source: Source, changed: dict[int, Entry], left_out: set[int]) -> Source:
    entries = Packed(
        Entry,
        (changed.get(place, entry) for place, entry in enumerate(source.entries) if place not in left_out),
    )

    def loaders() -> Iterator[Loader]:
        return (load for place, load in enumerate(source.loaders()) if place not in left_out)

    return dataclasses.replace(source, entries=entries, loaders=loaders, ignored=source.ignored + len(left_out))


def _labels_of_samples(source: Source, paths: list[str]) -> dict[int, str]:
    """The class of each picture that a file of the same name and another ending tells; empty where there are none."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for place, path in enumerate(paths):
        folder, slash, name = path.rpartition("/")
        stem, _, ending = name.partition(".")
        places[folder + slash + stem][f".{ending.lower()}"] = place
    pictures = {
        stem: [place for ending, place in sample.items() if _is_picture(f"x{ending}")]
        for stem, sample in places.items()
    }
    for ending, label_of in ((_CLASS_FILE, _label_of_text), (_JSON_FILE, _label_of_json)):
        tells = {sample[ending]: stem for stem, sample in places.items() if ending in sample and pictures[stem]}
        if not tells:
            continue
        labels: dict[int, str] = {}
        for place, content in contents(source, set(tells)):
            label = label_of(content, f"data {source.name!r}, {shown(paths[place])}")
            labels |= dict.fromkeys(pictures[tells[place]], label)
        if any(labels.values()):
            every = [place for found in pictures.values() for place in found]
            return {place: labels.get(place, "") for place in every}
    return {}


def _label_of_text(content: bytes, where: str) -> str:
    return label_text(content, where)


def _label_of_json(content: bytes, where: str) -> str:
    value = _json_object(content)
    column = column_of_labels(value, Reading(), where)
    return label_text(value[column], where) if column else ""


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table in a source, and the pictures that it names."""

    path: str
    pictures: Matched


def _rows_of_tables(source: Source, paths: list[str], reading: Reading) -> Source | None:
    """The pictures that tables in a source name, with their classes; None where there are no such tables.

    Raises:
        HeadstartError: If tables contradict each other or the folders, or a table that has to tell cannot be read.
    """
    places = _places_of_tables(paths)
    pictures = [path for path in paths if _is_picture(path) or not is_sidecar(path)]
    tables, problems = [], []
    for place, content in contents(source, places):
        path = paths[place]
        try:
            rows = read_table(f"{source.name}: {path}", content, reading)
        except HeadstartError as error:
            problems.append(error)
            continue
        found = matched(rows, pictures, path.rpartition("/")[0], split_of_path(path.rpartition("/")[2]))
        if len(found.rows) > len(found.lost):
            tables.append(_Table(path, found))
        else:
            named = len(found.rows) + len(found.lost)
            problems.append(
                HeadstartError(
                    f"data {source.name!r}: of {named:,} pictures that {path} names, {len(found.rows):,} are there; "
                    "mend its paths, or pass labels 'folders' or 'names'"
                )
            )
    if not tables:
        if problems and (reading.labels == "given" or reading.image_column or reading.label_column):
            raise problems[0]
        return None
    rows_of = _one_row_each(source.name, tables)
    _check_folders_agree(source.name, tables, rows_of, reading)
    event("table", data=source.name, tables=len(tables), first=tables[0].path, pictures=len(rows_of))
    entries = {place: _entry(path, *rows_of[path]) for place, path in enumerate(paths) if path in rows_of}
    left_out = set(range(len(paths))) - set(entries)
    unusable = [
        Quarantined(shown(row.image), "missing", f"{table.path} names it, and it is not there")
        for table in tables
        for row in table.pictures.lost
    ]
    unusable += [
        Quarantined(path, "conflict", f"{table.path} gives it the classes {quoted(first)} and {quoted(second)}")
        for table in tables
        for path, (first, second) in table.pictures.contradicted.items()
    ]
    chosen = _chosen(source, entries, left_out)
    return dataclasses.replace(chosen, unusable=(*chosen.unusable, *unusable))


def _entry(path: str, row: Row, table: str) -> Entry:
    entry = entry_of(row, path)
    return entry if entry.split else dataclasses.replace(entry, split=split_of_path(table.rpartition("/")[2]))


def _places_of_tables(paths: list[str]) -> set[int]:
    """Which files may be tables of the pictures; JSON and plain texts, which may be anything, by their names only."""
    found = {}
    for place, path in enumerate(paths):
        name = PurePosixPath(path.lower())
        is_named = name.stem in _TABLE_NAMES
        if _NO_TABLE in name.stem or name.suffix not in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
            continue
        if is_named or name.suffix not in (".json", ".txt"):
            found[place] = is_named
    if len(found) > _MOST_TABLES:
        found = {place: True for place, is_named in found.items() if is_named}
    return set(itertools.islice(found, _MOST_TABLES))


def _one_row_each(name: str, tables: list[_Table]) -> dict[str, tuple[Row, str]]:
    rows: dict[str, tuple[Row, str]] = {}
    for table in tables:
        for path, row in table.pictures.rows.items():
            before = rows.setdefault(path, (row, table.path))
            if before[0].label != row.label:
                raise HeadstartError(
                    f"data {name!r}: {path} is {quoted(before[0].label)} by {before[1]} and {quoted(row.label)} by "
                    f"{table.path}; pass the right one of these tables as data, or remove the other"
                )
    return rows


def _classes_by_folder(paths: Iterable[str]) -> set[str]:
    """Names of the folders that files lie in, those that speak of a split left out."""
    folders = {PurePosixPath(path).parent for path in paths}
    return {folder.name for folder in folders if folder.name and not split_of_path(f"{folder.name}/x")}


def _check_folders_agree(name: str, tables: list[_Table], rows: dict[str, tuple[Row, str]], reading: Reading) -> None:
    """Refuses to choose between a table and folders that both look like classes, and differ."""
    if reading.labels != "auto" or PurePosixPath(tables[0].path).stem.lower() == HUGGING_FACE_TABLE:
        return
    folders = _classes_by_folder(rows)
    classes = {row.label for row, _ in rows.values()} - {""}
    agree = all(PurePosixPath(path).parent.name == row.label for path, (row, _) in rows.items())
    if len(folders) < 2 or agree:
        return
    few = [", ".join(sorted(each)[:3]) + (", …" if len(each) > 3 else "") for each in (classes, folders)]
    raise HeadstartError(
        f"data {name!r}: {tables[0].path} tells {len(classes)} classes ({few[0]}) for {len(rows)} pictures, and they "
        f"lie in {len(folders)} folders ({few[1]}); pass labels 'given' for the table or 'folders' for the folders"
    )


def nested(paths: list[str]) -> list[int]:
    """Places of the archives in a source that holds no pictures itself."""
    if any(_is_picture(path) for path in paths):
        return []
    return [place for place, path in enumerate(paths) if is_archive(path)]


def folder_of(archive: str) -> str:
    """Name of the folder for the files of an archive in another: its own without the ending, as in `train.zip`."""
    suffix = max((each for each in ARCHIVE_SUFFIXES if archive.lower().endswith(each)), key=len)
    return archive[: -len(suffix)]
