"""Image Parquet as Hugging Face `datasets` writes it, and as our own dataset artifact is."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.errors import HeadstartError
from headstart.components.download_dataset.sources.packed import Packed
from headstart.components.download_dataset.sources.source import (
    MAX_FILE_BYTES,
    Entry,
    Loader,
    Source,
    Unreadable,
    printable,
    shown,
    too_large,
)

MAGIC = b"PAR1"
SUFFIX = ".parquet"

_ROWS = 16


def open_parquet(name: str, files: list[tuple[str, Path]], ignored: int = 0) -> Source:
    """Opens Parquet files of pictures.

    The picture is the column that the schema's metadata call an image, or `image`: a struct of `bytes` and `path`,
    or the bytes themselves. The class is the column they call a class label, or `label`: text, or a number, which
    stands for itself where nothing names it. A column `split` is taken over.

    Args:
        name: The source as the user named it.
        files: Each file's name and its place on disk.
        ignored: How many other files were there.

    Raises:
        HeadstartError: A file is no Parquet, is damaged, or lacks a column.
    """
    tables = [_Table(f"{name}: {file}" if len(files) > 1 else name, file, path) for file, path in files]
    entries = Packed(Entry, (entry for table in tables for entry in table.entries()))

    def loaders() -> Iterator[Loader]:
        return (loader for table in tables for loader in table.loaders())

    return Source(name, entries, loaders, ignored)


class _Table:
    def __init__(self, name: str, file: str, path: Path) -> None:
        self._name = name
        self._file = file
        self._path = path
        try:
            with pq.ParquetFile(path) as table:
                self._schema = table.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        features = self._features()
        self._image = self._column(features, "Image", "image")
        self._label = self._column(features, "ClassLabel", "label")
        self._names = features.get(self._label, {}).get("names")

    def entries(self) -> Iterator[Entry]:
        image = self._schema.field(self._image)
        has_path = pa.types.is_struct(image.type) and image.type.get_field_index("path") >= 0
        has_split = "split" in self._schema.names
        columns = [self._label, *([f"{self._image}.path"] if has_path else []), *(["split"] if has_split else [])]
        split_of_file = self._split()
        number = 0
        for batch in self._batches(columns, 4096):
            paths = batch.column(self._image).field("path").to_pylist() if has_path else [None] * len(batch)
            splits = batch.column("split").to_pylist() if has_split else [None] * len(batch)
            for label, path, split in zip(batch.column(self._label).to_pylist(), paths, splits, strict=True):
                yield Entry(
                    printable(path or f"{self._file}#{number}"), self._label_name(label), split or split_of_file
                )
                number += 1

    def loaders(self) -> Iterator[Loader]:
        for batch in self._batches([self._image], _ROWS):
            for value in batch.column(self._image).to_pylist():
                yield functools.partial(_content, value)

    def _batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        try:
            # A row group may be large; reading it through a buffer keeps memory flat.
            with pq.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False) as table:
                yield from table.iter_batches(batch_size=rows, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _features(self) -> dict[str, Any]:
        try:
            metadata = json.loads((self._schema.metadata or {}).get(b"huggingface", b"{}"))
            return dict(metadata.get("info", {}).get("features", {}))
        except (ValueError, AttributeError):
            return {}

    def _column(self, features: dict[str, Any], kind: str, usual: str) -> str:
        of_kind = [
            name
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == kind and name in self._schema.names
        ]
        for name in (usual, *of_kind):
            if name in self._schema.names:
                return name
        raise HeadstartError(
            f"Parquet {self._name!r} has the columns {', '.join(self._schema.names)}; it lacks {usual}"
        )

    def _label_name(self, label: Any) -> str:
        if label is None or (self._names and isinstance(label, int) and not 0 <= label < len(self._names)):
            return ""
        return shown(self._names[label] if self._names and isinstance(label, int) else str(label))

    def _split(self) -> str:
        """`train-00000-of-00002.parquet` and `train/0000.parquet` name a split, as on Hugging Face's hub."""
        return Path(self._file).stem.split("-")[0] if "-" in Path(self._file).stem else Path(self._file).parent.name

    def _damaged(self, error: Exception) -> HeadstartError:
        return HeadstartError(f"Parquet {self._name!r} is damaged ({error}); download or write it again")


def _content(value: Any) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        raise Unreadable("missing", "the row has no bytes")
    if not isinstance(content, bytes):
        raise Unreadable("not an image", f"the column holds {type(content).__name__}, not bytes")
    if len(content) > MAX_FILE_BYTES:
        raise too_large(len(content))
    return content
