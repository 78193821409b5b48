"""Tables, samples and sidecars beside images, and the classes that they give."""

import contextlib
import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from headstart.components.core.images.unsupported import identify_unsupported_name, is_spreadsheet
from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.columns import SourceOptions, find_label_column, parse_label
from headstart.components.core.sources.file_names import escape_text, has_image_suffix, is_sidecar, split_of_path
from headstart.components.core.sources.manifest import entry_of_row
from headstart.components.core.sources.path_index import RowMatches, match_rows
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.core.sources.source import Entry, Loader, Source, Unreadable
from headstart.components.core.sources.tables import JSON_SUFFIXES, TEXT_SUFFIXES, Row, read_table
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import quote_name

HUGGING_FACE_TABLE = "metadata"
"""Name, without suffix, of the table beside images that `datasets` reads."""

_TABLE_NAMES = (HUGGING_FACE_TABLE, "labels", "_classes", "annotations", "train", "index", "data", "manifest")
# Kaggle's template for submissions, whose classes are made up.
_NO_TABLE = "submission"
_MOST_TABLES = 16
_CLASS_FILE, _JSON_FILE = ".cls", ".json"


def interpret_files(source: Source, options: SourceOptions, is_tar: bool = False) -> Source:
    """Reads the images of a source with the classes that tables and samples in it give; counts the other files.

    Args:
        source: All files.
        options: Columns and rule for labels.
        is_tar: True if the source is a tar archive, in which `1.jpg` and `1.cls` may be one sample (WebDataset).

    Raises:
        HeadstartError: If a table and the folders both give classes, and different ones; or if there are no images,
            or no classes, but files of an unsupported format.
    """
    paths = [entry.path for entry in source.entries]
    if not any(has_image_suffix(path) for path in paths):
        _check_no_foreign_format(source.name, paths)
        return _without_sidecars(source, paths, options)
    reads_tables = options.labelled and options.labels in ("auto", "given")
    if reads_tables and is_tar and (labels := _labels_of_samples(source, paths)):
        return _with_labels(source, labels)
    if reads_tables and (from_tables := _source_from_tables(source, paths, options)):
        return from_tables
    if reads_tables and len(_classes_by_folder(filter(has_image_suffix, paths))) < 2:
        _check_no_foreign_format(source.name, filter(is_spreadsheet, paths))
    return _without_sidecars(source, paths, options)


def read_contents(source: Source, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Reads some files of a source; unreadable ones are skipped.

    Args:
        source: The source.
        wanted: Positions of the files among the source's entries.

    Yields:
        Position and content of each file.
    """
    last = max(wanted, default=-1)
    for place, load in enumerate(itertools.islice(source.loaders(), last + 1)):
        if place in wanted:
            with contextlib.suppress(Unreadable):
                yield place, load()


def _check_no_foreign_format(name: str, paths: Iterable[str]) -> None:
    for path in paths:
        if match := identify_unsupported_name(path):
            kind, way_out = match
            raise HeadstartError(
                f"data {name!r} holds {path}, which cannot be read, as it is of the kind {kind}; {way_out}"
            )


def _without_sidecars(source: Source, paths: list[str], options: SourceOptions) -> Source:
    """A source without sidecars, unless it holds nothing else.

    Where classes are needed, a table that may give them stays: the user has to learn that it was not used.
    """
    places = {
        place
        for place, path in enumerate(paths)
        if is_sidecar(path) or (not options.labelled and path.lower().endswith((*TEXT_SUFFIXES, *JSON_SUFFIXES)))
    }
    return _select(source, {}, places) if 0 < len(places) < len(paths) else source


def _with_labels(source: Source, labels: dict[int, str]) -> Source:
    """The files that have a label, with it."""
    every = enumerate(source.entries)
    entries = {place: Entry(entry.path, labels[place]) for place, entry in every if place in labels}
    return _select(source, entries, set(range(len(source.entries))) - set(labels))


def _select(source: Source, changed: dict[int, Entry], left_out: set[int]) -> Source:
    """A source with some entries changed and others left out, by their positions."""
    entries = ColumnarList(
        Entry,
        (changed.get(place, entry) for place, entry in enumerate(source.entries) if place not in left_out),
    )

    def loaders() -> Iterator[Loader]:
        return (load for place, load in enumerate(source.loaders()) if place not in left_out)

    return dataclasses.replace(source, entries=entries, loaders=loaders, ignored=source.ignored + len(left_out))


def _labels_of_samples(source: Source, paths: list[str]) -> dict[int, str]:
    """Class of each image whose sample (files of one name) has a `.cls` or `.json` file; empty: there are none."""
    samples: dict[str, dict[str, int]] = defaultdict(dict)
    for place, path in enumerate(paths):
        folder, slash, name = path.rpartition("/")
        stem, _, ending = name.partition(".")
        samples[folder + slash + stem][f".{ending.lower()}"] = place
    images = {
        stem: [place for ending, place in sample.items() if has_image_suffix(f"x{ending}")]
        for stem, sample in samples.items()
    }
    for ending, label_of in ((_CLASS_FILE, parse_label), (_JSON_FILE, _label_of_json)):
        label_files = {sample[ending]: stem for stem, sample in samples.items() if ending in sample and images[stem]}
        if not label_files:
            continue
        labels: dict[int, str] = {}
        for place, content in read_contents(source, set(label_files)):
            label = label_of(content, f"data {source.name!r}, {escape_text(paths[place])}")
            labels |= dict.fromkeys(images[label_files[place]], label)
        if any(labels.values()):
            every = [place for of_sample in images.values() for place in of_sample]
            return {place: labels.get(place, "") for place in every}
    return {}


def _label_of_json(content: bytes, where: str) -> str:
    value = _json_object(content)
    column = find_label_column(value, SourceOptions(), where)
    return parse_label(value[column], where) if column else ""


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table in a source, with the images that it names."""

    path: str
    images: RowMatches


def _source_from_tables(source: Source, paths: list[str], options: SourceOptions) -> Source | None:
    """The images that tables in a source name, with their classes; None where there are no such tables.

    Raises:
        HeadstartError: If tables contradict each other or the folders, or no table can be read where one must give
            the classes.
    """
    tables, problems = _read_tables(source, paths, options)
    if not tables:
        if problems and (
            options.labels == "given" or options.image_column or options.label_column or options.group_column
        ):
            raise problems[0]
        return None
    rows_of = _one_row_each(source.name, tables)
    _check_folders_agree(source.name, tables, rows_of, options)
    event("table", data=source.name, tables=len(tables), first=tables[0].path, pictures=len(rows_of))
    entries = {place: _entry(path, *rows_of[path]) for place, path in enumerate(paths) if path in rows_of}
    left_out = set(range(len(paths))) - set(entries)
    unusable = [
        QuarantinedFile(escape_text(row.image), "missing", f"{table.path} names it, and it is not there")
        for table in tables
        for row in table.images.lost
    ]
    unusable += [
        QuarantinedFile(
            path, "conflict", f"{table.path} gives it the classes {quote_name(first)} and {quote_name(second)}"
        )
        for table in tables
        for path, (first, second) in table.images.contradicted.items()
    ]
    selected = _select(source, entries, left_out)
    return dataclasses.replace(selected, unusable=(*selected.unusable, *unusable))


def _read_tables(
    source: Source, paths: list[str], options: SourceOptions
) -> tuple[list[_Table], list[HeadstartError]]:
    """Tables of which most images are there, and the reasons why others are not used."""
    images = [path for path in paths if has_image_suffix(path) or not is_sidecar(path)]
    tables, problems = [], []
    for place, content in read_contents(source, _find_tables(paths)):
        path = paths[place]
        try:
            rows = read_table(f"{source.name}: {path}", content, options)
        except HeadstartError as error:
            problems.append(error)
            continue
        folder, _, name = path.rpartition("/")
        matches = match_rows(rows, images, folder, split_of_path(name))
        if len(matches.rows) > len(matches.lost):
            tables.append(_Table(path, matches))
        else:
            named = len(matches.rows) + len(matches.lost)
            problems.append(
                HeadstartError(
                    f"data {source.name!r}: of {named:,} images that {path} names, {len(matches.rows):,} are there; "
                    "correct its paths, or pass labels 'folders' or 'names'"
                )
            )
    return tables, problems


def _entry(path: str, row: Row, table: str) -> Entry:
    entry = entry_of_row(row, path)
    return entry if entry.split else dataclasses.replace(entry, split=split_of_path(table.rpartition("/")[2]))


def _find_tables(paths: list[str]) -> set[int]:
    """Positions of files that may be tables of the images; `.json` and `.txt` files need a usual name."""
    candidates = {}
    for place, path in enumerate(paths):
        name = PurePosixPath(path.lower())
        is_named = name.stem in _TABLE_NAMES
        if _NO_TABLE in name.stem or name.suffix not in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
            continue
        if is_named or name.suffix not in (".json", ".txt"):
            candidates[place] = is_named
    if len(candidates) > _MOST_TABLES:
        candidates = {place: True for place, is_named in candidates.items() if is_named}
    return set(itertools.islice(candidates, _MOST_TABLES))


def _one_row_each(name: str, tables: list[_Table]) -> dict[str, tuple[Row, str]]:
    """Row of each image with the path of its table, by the path of the image."""
    rows: dict[str, tuple[Row, str]] = {}
    for table in tables:
        for path, row in table.images.rows.items():
            before = rows.setdefault(path, (row, table.path))
            if before[0].label != row.label:
                raise HeadstartError(
                    f"data {name!r}: {path} is {quote_name(before[0].label)} by {before[1]} and "
                    f"{quote_name(row.label)} by "
                    f"{table.path}; pass the right one of these tables as data, or remove the other"
                )
    return rows


def _classes_by_folder(paths: Iterable[str]) -> set[str]:
    """Names of the folders that files lie in, without those of splits."""
    folders = {PurePosixPath(path).parent for path in paths}
    return {folder.name for folder in folders if folder.name and not split_of_path(f"{folder.name}/x")}


def _check_folders_agree(
    name: str, tables: list[_Table], rows: dict[str, tuple[Row, str]], options: SourceOptions
) -> None:
    """Refuses to choose between a table and folders that both look like classes, and differ."""
    if options.labels != "auto" or PurePosixPath(tables[0].path).stem.lower() == HUGGING_FACE_TABLE:
        return
    folders = _classes_by_folder(rows)
    classes = {row.label for row, _ in rows.values()} - {""}
    agree = all(PurePosixPath(path).parent.name == row.label for path, (row, _) in rows.items())
    if len(folders) < 2 or agree:
        return
    few = [", ".join(sorted(each)[:3]) + (", …" if len(each) > 3 else "") for each in (classes, folders)]
    raise HeadstartError(
        f"data {name!r}: {tables[0].path} gives {len(classes)} classes ({few[0]}) for {len(rows)} images, and they "
        f"lie in {len(folders)} folders ({few[1]}); pass labels 'given' for the table or 'folders' for the folders"
    )
