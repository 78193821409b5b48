"""Parquet and Arrow files of images, as Hugging Face `datasets` writes them, and as our own dataset artifact is."""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.artifacts.dataset import USER_GROUP, dataset_schema
from headstart.components.core.images.unsupported import START_BYTES, identify_unsupported_file
from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.columns import (
    SourceOptions,
    check_columns_unique,
    check_has_columns,
    check_numeric_labels_consistent,
    find_group_column,
    find_image_column,
    find_label_column,
    find_split_column,
    parse_group,
    parse_label,
)
from headstart.components.core.sources.file_contents import MAX_FILE_BYTES, too_large_error
from headstart.components.core.sources.file_names import escape_name, escape_text, split_of_path
from headstart.components.core.sources.image_locator import ImageLocator
from headstart.components.core.sources.manifest import escape_image_name
from headstart.components.core.sources.source import Entry, Loader, Source, Unreadable
from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError

MAGIC = b"PAR1"
ARROW_MAGICS = (b"ARROW1\0\0", b"\xff\xff\xff\xff")
"""First bytes of an Arrow file, and of an Arrow stream."""

SUFFIXES = (".parquet", ".arrow")

_BATCH_ROWS = 16
_BATCH_ROWS_WITHOUT_IMAGES = 4096
# `datasets` leaves cache files in a folder that it has saved, beside the data.
_CACHE_PREFIX = "cache-"


def is_columnar_file(path: str) -> bool:
    """Whether a file is Parquet or Arrow by its name, and no cache file of `datasets`."""
    return path.lower().endswith(SUFFIXES) and not PurePosixPath(path).name.startswith(_CACHE_PREFIX)


def open_parquet(
    name: str, files: Sequence[tuple[str, Path]], options: SourceOptions, base: str = "", ignored: int = 0
) -> Source:
    """Opens Parquet or Arrow files of images.

    The image is the column `image`, or the only one that the schema's metadata call an image: a struct of `bytes` and
    `path`, the bytes themselves, or a path. An image that has only a path is read beside the files. The class is the
    column `label`, or the only one that the metadata call a class label: a text, or a whole number, which stands for
    itself where the metadata do not name it. The split is that of a column `split`, or the name of the file or its
    folder. The group is the column `group`; in a dataset artifact of ours, whose `group` also joins near-duplicates,
    it is the one that the user named.

    Args:
        name: The source as the user named it, without secrets.
        files: Name and path of each file.
        options: Columns to read, and whether classes are needed.
        base: Folder or address that paths in the files start from; empty: images cannot be read by their paths.
        ignored: Number of other files beside these.

    Raises:
        HeadstartError: If a file is no Parquet or damaged, a column is missing or ambiguous, or a label is no class.
    """
    locator = ImageLocator(base) if base else None
    tables = [
        _ColumnarFile(f"{name}: {file}" if len(files) > 1 else name, file, path, options, locator)
        for file, path in files
    ]
    labels: set[str] = set()
    groups: set[str] = set()

    def read_entries() -> Iterator[Entry]:
        for table in tables:
            for entry in table.entries():
                labels.add(entry.label)
                groups.add(entry.group)
                yield entry

    entries = ColumnarList(Entry, read_entries())
    check_numeric_labels_consistent(labels, f"Parquet {name!r}")
    check_numeric_labels_consistent(groups, f"Parquet {name!r}", "groups")

    def loaders() -> Iterator[Loader]:
        return (loader for table in tables for loader in table.loaders())

    remote = is_remote(base) and any(table.has_paths for table in tables)
    return Source(name, entries, loaders, ignored, remote=remote)


def list_references(name: str, path: Path, base: str, options: SourceOptions) -> Iterator[str]:
    """Yields the absolute addresses or paths of the images of a file that holds no image bytes; see `open_parquet`.

    Args:
        name: The source as the user named it, without secrets.
        path: File on disk.
        base: Folder or address that paths in the file start from.
        options: Columns to read, and whether classes are needed.

    Raises:
        HeadstartError: If the file is no Parquet or damaged, or a column is missing or ambiguous.
    """
    locator = ImageLocator(base)
    table = _ColumnarFile(name, PurePosixPath(name).name, path, options, locator)
    if table.has_only_paths:
        for entry in table.entries():
            image = locator.locate(entry.path)
            if not image.reason:
                yield image.address


class _ColumnarFile:
    """One Parquet or Arrow file of images."""

    def __init__(
        self, name: str, file: str, path: Path, options: SourceOptions, locator: ImageLocator | None
    ) -> None:
        self._where = f"Parquet {name!r}"
        self._file = file
        self._path = path
        self._locator = locator
        try:
            with path.open("rb") as opened:
                start = opened.read(START_BYTES)
            if foreign := identify_unsupported_file(start):
                kind, way_out = foreign
                raise HeadstartError(f"{self._where} cannot be read, as it is of the kind {kind}; {way_out}")
            self._is_arrow = not start.startswith(MAGIC)
            self._schema = self._read_schema()
        except (pa.ArrowException, OSError) as error:
            raise self._damaged_error(error) from None
        names = self._schema.names
        features = self._features()
        self._image = self._find_image_column(names, features, options)
        self._label = self._find_label_column(names, features, options)
        self._split = find_split_column(names)
        check_has_columns(self._where, names, self._image, self._label, options)
        self._group = self._find_group_column(names, options)
        used = [self._image, self._label, self._split, self._group]
        check_columns_unique([each for each in names if each in used], self._where)
        self._class_names = _class_names(features.get(self._label))
        self._split_names = _class_names(features.get(self._split))
        self._group_names = _class_names(features.get(self._group))
        kind = self._schema.field(self._image).type
        self._in_struct = pa.types.is_struct(kind)
        self._has_path = self._in_struct and kind.get_field_index("path") >= 0
        self._is_path = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        self.has_paths = self._has_path or self._is_path
        self.has_only_paths = self._is_path or (self._has_path and _lacks_bytes(kind))

    def entries(self) -> Iterator[Entry]:
        image = f"{self._image}.path" if self._has_path else self._image if self._is_path else ""
        columns = [each for each in (self._label, image, self._split, self._group) if each]
        # Without other columns the images themselves have to be read for the number of rows.
        columns = columns or [self._image]
        split_of_file = split_of_path(self._file)
        number = 0
        for batch in self._batches(columns, _BATCH_ROWS_WITHOUT_IMAGES):
            nothing = [None] * len(batch)
            paths: list[Any] = nothing
            if self._has_path:
                paths = batch.column(self._image).field("path").to_pylist()
            elif self._is_path:
                paths = batch.column(self._image).to_pylist()
            labels = batch.column(self._label).to_pylist() if self._label else nothing
            splits = batch.column(self._split).to_pylist() if self._split else nothing
            groups = batch.column(self._group).to_pylist() if self._group else nothing
            for label, path, split, group in zip(labels, paths, splits, groups, strict=True):
                has_path = isinstance(path, str) and path
                name = escape_image_name(path) if has_path else f"{escape_name(self._file)}#{number}"
                yield Entry(
                    name,
                    self._parse_label(label, number),
                    self._parse_split(split) or split_of_file,
                    group=self._parse_group(group, number),
                )
                number += 1

    def loaders(self) -> Iterator[Loader]:
        for batch in self._batches([self._image], _BATCH_ROWS):
            for value in batch.column(self._image).to_pylist():
                yield functools.partial(_load_image, value, self._locator, self._file.rpartition("/")[0])

    def _read_schema(self) -> pa.Schema:
        if not self._is_arrow:
            with pq.ParquetFile(self._path) as table:
                return table.schema_arrow
        with self._open_arrow() as reader:
            return reader.schema

    def _batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        try:
            if not self._is_arrow:
                # A row group may be large; reading it through a buffer keeps memory flat.
                with pq.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False) as table:
                    yield from table.iter_batches(batch_size=rows, columns=columns)
                return
            whole = [each if each in self._schema.names else self._image for each in columns]
            with self._open_arrow() as reader:
                for batch in _record_batches(reader):
                    selected = batch.select(whole)
                    for start in range(0, len(selected), rows):
                        yield selected.slice(start, rows)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged_error(error) from None

    @contextlib.contextmanager
    def _open_arrow(self) -> Iterator[Any]:
        with pa.memory_map(str(self._path)) as file:
            is_file = file.read(8) == ARROW_MAGICS[0]
            file.seek(0)
            with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file) as reader:
                yield reader

    def _features(self) -> dict[str, Any]:
        try:
            metadata = json.loads((self._schema.metadata or {}).get(b"huggingface", b"{}"))
            features = dict(metadata.get("info", {}).get("features", {}))
        except (ValueError, AttributeError, TypeError, RecursionError):
            return {}
        return {name: feature for name, feature in features.items() if name in self._schema.names}

    def _find_image_column(self, names: list[str], features: dict[str, Any], options: SourceOptions) -> str:
        if options.image_column:
            return find_image_column(names, options, self._where)
        by_feature = [name for name in names if _kind(features.get(name)) == "Image"]
        by_type = [name for name in names if _may_hold_images(self._schema.field(names.index(name)).type)]
        for candidates in (["image"] if "image" in names else [], by_feature, by_type):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                raise self._ambiguous_error(candidates, "image", "image_column")
        return find_image_column(names, options, self._where)

    def _find_label_column(self, names: list[str], features: dict[str, Any], options: SourceOptions) -> str:
        if options.label_column or not options.labelled:
            return find_label_column(names, options, self._where)
        split = find_split_column(names)
        candidates = [name for name in names if name == "label" or _class_names(features.get(name))]
        candidates = [name for name in dict.fromkeys(candidates) if name != split]
        if len(candidates) > 1:
            raise self._ambiguous_error(candidates, "class", "label_column")
        return candidates[0] if candidates else find_label_column(names, options, self._where)

    def _find_group_column(self, names: list[str], options: SourceOptions) -> str:
        if not options.group_column and options.labelled and {*dataset_schema([]).names} <= {*names}:
            return USER_GROUP if USER_GROUP in names else ""
        return find_group_column(names, options, self._where)

    def _ambiguous_error(self, candidates: list[str], role: str, argument: str) -> HeadstartError:
        choice = " or ".join(repr(escape_text(name)) for name in candidates)
        return HeadstartError(f"{self._where}: the {role} could be the column {choice}; say which with {argument}")

    def _parse_label(self, value: Any, row: int) -> str:
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        if self._class_names and isinstance(value, int) and not isinstance(value, bool):
            return escape_text(self._class_names[value]) if 0 <= value < len(self._class_names) else ""
        return parse_label(value, f"{self._where}, row {row}")

    def _parse_group(self, value: Any, row: int) -> str:
        if self._group_names and isinstance(value, int) and 0 <= value < len(self._group_names):
            return escape_text(self._group_names[value])
        return parse_group(value, f"{self._where}, row {row}")

    def _parse_split(self, value: Any) -> str:
        if self._split_names and isinstance(value, int) and 0 <= value < len(self._split_names):
            return self._split_names[value]
        return value if isinstance(value, str) else ""

    def _damaged_error(self, error: Exception) -> HeadstartError:
        return HeadstartError(f"{self._where} is damaged ({error}); download or write it again")


def _record_batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _kind(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _class_names(feature: Any) -> list[str]:
    """Class names of a class label, or of a list of class labels; empty: it is none, or has no names."""
    if isinstance(feature, list) and feature:
        feature = feature[0]
    if _kind(feature) in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    names = feature.get("names") if _kind(feature) == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _lacks_bytes(kind: pa.StructType) -> bool:
    at = kind.get_field_index("bytes")
    return at < 0 or bool(pa.types.is_null(kind.field(at).type))


def _may_hold_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _load_image(value: Any, locator: ImageLocator | None, folder: str) -> bytes:
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(content, str):
        content, path = None, content
    if content is None:
        if not path or locator is None:
            raise Unreadable("missing", "the row has no bytes" + (", only a path" if path else ""))
        return locator.loader(locator.locate(path, folder))()
    if not isinstance(content, bytes):
        raise Unreadable("not an image", f"the column holds {type(content).__name__}, not bytes")
    if len(content) > MAX_FILE_BYTES:
        raise too_large_error(len(content))
    return content
