"""Image Parquet and Arrow as Hugging Face `datasets` writes them, and as our own dataset artifact is."""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.images.unsupported import START_BYTES, identify_unsupported_file
from headstart.components.core.sources.columns import (
    Reading,
    check_labels_are_no_numbers_twice,
    check_no_column_twice,
    column_of_images,
    column_of_labels,
    column_of_splits,
    label_text,
    missing,
)
from headstart.components.core.sources.manifest import Pictures, shown_image
from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.source import (
    MAX_FILE_BYTES,
    Entry,
    Loader,
    Source,
    Unreadable,
    printable,
    shown,
    split_of_path,
    too_large,
)
from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError

MAGIC = b"PAR1"
ARROW_MAGICS = (b"ARROW1\0\0", b"\xff\xff\xff\xff")
"""Of an Arrow file, and of a stream, which begins like this with its schema."""

SUFFIXES = (".parquet", ".arrow")

_ROWS = 16
_ROWS_OF_FACTS = 4096
# What `datasets` leaves in a folder that it has saved beside the data.
_CACHED = "cache-"


def is_columns(path: str) -> bool:
    """Whether a file is Parquet or Arrow by its name, and no cache of `datasets`."""
    return path.lower().endswith(SUFFIXES) and not PurePosixPath(path).name.startswith(_CACHED)


def open_parquet(
    name: str, files: Sequence[tuple[str, Path]], reading: Reading, base: str = "", ignored: int = 0
) -> Source:
    """Opens Parquet or Arrow files of pictures.

    The picture is the column `image`, or the only one that the schema's metadata call an image: a struct of `bytes`
    and `path`, the bytes themselves, or a path. What has a path alone is read beside the files. The class is the
    column `label`, or the only one that they call a class label: text, or a whole number, which stands for itself
    where nothing names it. The split is that of a column `split`, or what the file or its folder is called.

    Args:
        name: The source as the user named it.
        files: Each file's name and its place on disk.
        reading: Which columns to take.
        base: Folder or address that paths in the files start from; empty: paths cannot be read.
        ignored: How many other files were there.

    Raises:
        HeadstartError: If a file is no Parquet, is damaged, lacks a column or has two that could be meant, or a label
            is none.
    """
    pictures = Pictures(base) if base else None
    tables = [
        _Table(f"{name}: {file}" if len(files) > 1 else name, file, path, reading, pictures) for file, path in files
    ]
    labels: set[str] = set()

    def listed() -> Iterator[Entry]:
        for table in tables:
            for entry in table.entries():
                labels.add(entry.label)
                yield entry

    entries = Packed(Entry, listed())
    check_labels_are_no_numbers_twice(labels, f"Parquet {name!r}")

    def loaders() -> Iterator[Loader]:
        return (loader for table in tables for loader in table.loaders())

    remote = is_remote(base) and any(table.has_paths for table in tables)
    return Source(name, entries, loaders, ignored, remote=remote)


def references(name: str, path: Path, base: str, reading: Reading) -> Iterator[str]:
    """The addresses of the pictures that a file names whose column has no bytes at all; see `open_parquet`.

    Raises:
        HeadstartError: If it is no Parquet, is damaged, or lacks a column or has two that could be meant.
    """
    pictures = Pictures(base)
    table = _Table(name, PurePosixPath(name).name, path, reading, pictures)
    if table.has_only_paths:
        for entry in table.entries():
            image = pictures.image(entry.path)
            if not image.reason:
                yield image.address


class _Table:
    def __init__(self, name: str, file: str, path: Path, reading: Reading, pictures: Pictures | None) -> None:
        self._where = f"Parquet {name!r}"
        self._file = file
        self._path = path
        self._pictures = pictures
        try:
            with path.open("rb") as start:
                begins = start.read(START_BYTES)
            if found := identify_unsupported_file(begins):
                kind, way_out = found
                raise HeadstartError(f"{self._where} cannot be read, as it is of the kind {kind}; {way_out}")
            self._is_arrow = not begins.startswith(MAGIC)
            self._schema = self._read_schema()
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        names = self._schema.names
        features = self._features()
        self._image = self._column_of_images(names, features, reading)
        self._label = self._column_of_labels(names, features, reading)
        self._split = column_of_splits(names)
        missing(self._where, names, self._image, self._label, reading)
        used = [self._image, self._label, self._split]
        check_no_column_twice([each for each in names if each in used], self._where)
        self._names = _class_names(features.get(self._label))
        self._split_names = _class_names(features.get(self._split))
        kind = self._schema.field(self._image).type
        self._in_struct = pa.types.is_struct(kind)
        self._has_path = self._in_struct and kind.get_field_index("path") >= 0
        self._is_path = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        self.has_paths = self._has_path or self._is_path
        self.has_only_paths = self._is_path or (self._has_path and _lacks_bytes(kind))

    def entries(self) -> Iterator[Entry]:
        image = f"{self._image}.path" if self._has_path else self._image if self._is_path else ""
        columns = [each for each in (self._label, image, self._split) if each]
        # A table of pictures alone has to be read for the number of its rows.
        columns = columns or [self._image]
        split_of_file = split_of_path(self._file)
        number = 0
        for batch in self._batches(columns, _ROWS_OF_FACTS):
            nothing = [None] * len(batch)
            paths: list[Any] = nothing
            if self._has_path:
                paths = batch.column(self._image).field("path").to_pylist()
            elif self._is_path:
                paths = batch.column(self._image).to_pylist()
            labels = batch.column(self._label).to_pylist() if self._label else nothing
            splits = batch.column(self._split).to_pylist() if self._split else nothing
            for label, path, split in zip(labels, paths, splits, strict=True):
                named = shown_image(path) if isinstance(path, str) and path else f"{printable(self._file)}#{number}"
                yield Entry(named, self._label_of(label, number), self._split_text(split) or split_of_file)
                number += 1

    def loaders(self) -> Iterator[Loader]:
        for batch in self._batches([self._image], _ROWS):
            for value in batch.column(self._image).to_pylist():
                yield functools.partial(_content, value, self._pictures, self._file.rpartition("/")[0])

    def _read_schema(self) -> pa.Schema:
        if not self._is_arrow:
            with pq.ParquetFile(self._path) as table:
                return table.schema_arrow
        with self._arrow() as reader:
            return reader.schema

    def _batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        try:
            if not self._is_arrow:
                # A row group may be large; reading it through a buffer keeps memory flat.
                with pq.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False) as table:
                    yield from table.iter_batches(batch_size=rows, columns=columns)
                return
            whole = [each if each in self._schema.names else self._image for each in columns]
            with self._arrow() as reader:
                for batch in _record_batches(reader):
                    chosen = batch.select(whole)
                    for start in range(0, len(chosen), rows):
                        yield chosen.slice(start, rows)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    @contextlib.contextmanager
    def _arrow(self) -> Iterator[Any]:
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

    def _column_of_images(self, names: list[str], features: dict[str, Any], reading: Reading) -> str:
        if reading.image_column:
            return column_of_images(names, reading, self._where)
        called = [name for name in names if _kind(features.get(name)) == "Image"]
        typed = [name for name in names if _holds_pictures(self._schema.field(names.index(name)).type)]
        for candidates in (["image"] if "image" in names else [], called, typed):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                raise self._asked(candidates, "picture", "image_column")
        return column_of_images(names, reading, self._where)

    def _column_of_labels(self, names: list[str], features: dict[str, Any], reading: Reading) -> str:
        if reading.label_column or not reading.labelled:
            return column_of_labels(names, reading, self._where)
        split = column_of_splits(names)
        candidates = [name for name in names if name == "label" or _class_names(features.get(name))]
        candidates = [name for name in dict.fromkeys(candidates) if name != split]
        if len(candidates) > 1:
            raise self._asked(candidates, "class", "label_column")
        return candidates[0] if candidates else column_of_labels(names, reading, self._where)

    def _asked(self, candidates: list[str], what: str, option: str) -> HeadstartError:
        choice = " or ".join(repr(shown(name)) for name in candidates)
        return HeadstartError(f"{self._where}: the {what} could be the column {choice}; say which with {option}")

    def _label_of(self, value: Any, row: int) -> str:
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        if self._names and isinstance(value, int) and not isinstance(value, bool):
            return shown(self._names[value]) if 0 <= value < len(self._names) else ""
        return label_text(value, f"{self._where}, row {row}")

    def _split_text(self, value: Any) -> str:
        if self._split_names and isinstance(value, int) and 0 <= value < len(self._split_names):
            return self._split_names[value]
        return value if isinstance(value, str) else ""

    def _damaged(self, error: Exception) -> HeadstartError:
        return HeadstartError(f"{self._where} is damaged ({error}); download or write it again")


def _record_batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _kind(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _class_names(feature: Any) -> list[str]:
    """Names of the classes of a class label, also of a list of them; empty: it is none, or has none."""
    if isinstance(feature, list) and feature:
        feature = feature[0]
    if _kind(feature) in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    names = feature.get("names") if _kind(feature) == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _lacks_bytes(kind: pa.StructType) -> bool:
    at = kind.get_field_index("bytes")
    return at < 0 or bool(pa.types.is_null(kind.field(at).type))


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _content(value: Any, pictures: Pictures | None, folder: str) -> bytes:
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(content, str):
        content, path = None, content
    if content is None:
        if not path or pictures is None:
            raise Unreadable("missing", "the row has no bytes" + (", only a path" if path else ""))
        return pictures.loader(pictures.image(path, folder))()
    if not isinstance(content, bytes):
        raise Unreadable("not an image", f"the column holds {type(content).__name__}, not bytes")
    if len(content) > MAX_FILE_BYTES:
        raise too_large(len(content))
    return content
