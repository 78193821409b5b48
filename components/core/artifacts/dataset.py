"""The dataset artifact: a folder of Parquet shards and `dataset.json`.

One row is one image, in the layout that Hugging Face `datasets` shows as pictures. `dataset.json` is written
last, so a folder without it was never finished.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from headstart.components.core.images.sample_ranges import CheckedRange, Ranges
from headstart.components.core.storage.atomic import complete_folder, make_empty_folder
from headstart.components.core.storage.manifests import WAY_OUT_OF_CACHE, Count, Names, read_manifest
from headstart.components.core.util.errors import HeadstartError

MANIFEST = "dataset.json"
FORMAT = "headstart-dataset/2"
NO_FOLD = -1
SPLITS = ("train", "validation", "test")
"""In the order in which they are used."""

ROW_GROUP_BYTES = 8 * 2**20
"""Of pictures in a row group, which is what a writer and a reader hold in memory."""

_SHARD_BYTES = 256 * 2**20
_KEYS = pa.schema([("id", pa.string()), ("label", pa.int64())])
_LINES_AT_ONCE = 4096

ShardName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
"""Of a file in the dataset's own folder."""


@dataclasses.dataclass(frozen=True)
class ImageRow:
    """One labelled image.

    Attributes:
        image: The encoded picture: JPEG or PNG, RGB, upright.
        path: Where it came from, relative to its source.
        label: Index into the dataset's classes.
        id: Hash of the pixels: equal for equal pictures, however they are encoded.
        group: Near-duplicates share one; images of one group must stay on one side of a split.
        width: In pixels.
        height: In pixels.
        split: The ready-made split that the source puts it in: ``train``, ``validation``, ``test``; empty: none.
        fold: Cross-validation fold, from 0; `NO_FOLD` where there are none.
        extra: Values of the dataset's extra columns, in their order.
    """

    image: bytes
    path: str
    label: int
    id: str
    group: str
    width: int
    height: int
    split: str = ""
    fold: int = NO_FOLD
    extra: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says.

    Attributes:
        classes: Class names; a label is an index into them.
        counts: Images in each class, in the order of `classes`.
        digest: SHA-256 over every image's id and class name, independent of their order.
        source: Where the images came from.
        shards: File names of the Parquet shards, in reading order.
        extra: Names of columns beyond our own, text, by which figures are told apart: camera, site, year.
        max_side: Longest side in pixels to which larger pictures were reduced; 0: none were.
        ranges: Black and white of each form of deep pictures among the files, see
            `core.images.sample_ranges`; None: the dataset was made before there were any.
    """

    classes: Names
    counts: list[Count]
    digest: str
    source: str
    shards: list[ShardName]
    extra: Names = dataclasses.field(default_factory=list)
    max_side: Count = 0
    ranges: dict[str, CheckedRange] | None = None

    @property
    def images(self) -> int:
        """Images in all."""
        return sum(self.counts)


def dataset_schema(classes: list[str], extra: Sequence[str] = ()) -> pa.Schema:
    """The Parquet schema of a shard, with the metadata that makes `datasets` show pictures and class names."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": classes, "_type": "ClassLabel"},
        "label_name": {"dtype": "string", "_type": "Value"},
        "id": {"dtype": "string", "_type": "Value"},
        "group": {"dtype": "string", "_type": "Value"},
        "width": {"dtype": "int32", "_type": "Value"},
        "height": {"dtype": "int32", "_type": "Value"},
        "split": {"dtype": "string", "_type": "Value"},
        "fold": {"dtype": "int32", "_type": "Value"},
        **{name: {"dtype": "string", "_type": "Value"} for name in extra},
    }
    return pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
            ("label_name", pa.string()),
            ("id", pa.string()),
            ("group", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("split", pa.string()),
            ("fold", pa.int32()),
            *((name, pa.string()) for name in extra),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


class DatasetWriter:
    """Writes rows into shards with bounded memory; the dataset exists when the `with` block ends well.

    Args:
        folder: The artifact's folder; whatever it held is removed.
        classes: Class names in label order.
        source: Where the images came from.
        extra: Names of the extra columns.
        max_side: Longest side in pixels to which larger pictures were reduced; 0: none were.
        ranges: Black and white of each form of deep pictures; None: not known.
    """

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        source: str,
        extra: Sequence[str] = (),
        max_side: int = 0,
        ranges: Ranges | None = None,
    ) -> None:
        self._folder = make_empty_folder(folder)
        self._classes = classes
        self._source = source
        self._extra = list(extra)
        self._max_side = max_side
        self._ranges = None if ranges is None else dict(ranges)
        self._schema = dataset_schema(classes, extra)
        self._rows: list[ImageRow] = []
        self._pending_bytes = 0
        self._shard: pq.ParquetWriter | None = None
        self._shard_bytes = 0
        self._shards: list[str] = []
        self._keys: list[pa.RecordBatch] = []

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # What went wrong first is what is told; a shard that cannot be closed has no reader anyway.
            with contextlib.suppress(OSError):
                self._close_shard()
        else:
            self._flush()
            self._close_shard()
            keys = pa.Table.from_batches(self._keys, _KEYS)
            counts = np.bincount(keys["label"].to_numpy(), minlength=len(self._classes)).tolist()
            digest = _digest(keys["id"].combine_chunks(), keys["label"].combine_chunks(), self._classes)
            info = DatasetInfo(
                *(self._classes, counts, digest, self._source, self._shards),
                *(self._extra, self._max_side, self._ranges),
            )
            complete_folder(self._folder, MANIFEST, {"format": FORMAT, **dataclasses.asdict(info)})

    def add(self, row: ImageRow) -> None:
        """Appends one image."""
        self._rows.append(row)
        self._pending_bytes += len(row.image)
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def add_group(self, columns: dict[str, pa.Array]) -> None:
        """Appends many images as a row group of their own, column by column and without copying them.

        Args:
            columns: What `ImageRow` has, by its names, and the extra columns by theirs; `split` and `fold` may be
                left out. The bytes of `image` are about `ROW_GROUP_BYTES` in all.
        """
        self._flush()
        self._write(columns)

    def _flush(self) -> None:
        if self._rows:
            names = [field.name for field in dataclasses.fields(ImageRow) if field.name != "extra"]
            own = {name: pa.array([getattr(row, name) for row in self._rows]) for name in names}
            extra = zip(self._extra, zip(*(row.extra for row in self._rows), strict=True), strict=True)
            self._write(own | {name: pa.array(values, pa.string()) for name, values in extra})
            self._rows, self._pending_bytes = [], 0

    def _write(self, columns: dict[str, pa.Array]) -> None:
        rows = len(columns["id"])
        usual = {"split": pa.repeat(pa.scalar(""), rows), "fold": pa.repeat(pa.scalar(NO_FOLD), rows)}
        values = usual | columns
        picture = self._schema.field("image").type
        values["image"] = pa.StructArray.from_arrays(
            [columns["image"].cast(pa.binary()), columns["path"]], fields=list(picture)
        )
        values["label_name"] = pa.array(self._classes, pa.string()).take(columns["label"])
        table = pa.table({field.name: values[field.name].cast(field.type) for field in self._schema}, self._schema)
        size = columns["image"].nbytes
        if self._shard is not None and self._shard_bytes + size > _SHARD_BYTES:
            self._close_shard()
        if self._shard is None:
            self._shard = self._open_shard()
        self._shard.write_table(table, row_group_size=rows)
        self._shard_bytes += size
        self._keys.append(table.select(_KEYS.names).combine_chunks().to_batches()[0])

    def _open_shard(self) -> pq.ParquetWriter:
        name = f"images-{len(self._shards):05d}.parquet"
        self._shards.append(name)
        self._shard_bytes = 0
        columns = [name for name in self._schema.names if name != "image"]
        return pq.ParquetWriter(
            self._folder / name,
            self._schema,
            # Pictures are compressed already; a second pass costs time and wins nothing.
            compression={"image.bytes": "none", **dict.fromkeys([*columns, "image.path"], "zstd")},
            use_dictionary=["label_name", "split"],
            write_statistics=columns,
        )

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None


def read_dataset_info(folder: Path) -> DatasetInfo:
    """Reads `dataset.json`.

    Raises:
        HeadstartError: The folder is no finished dataset artifact, or a shard is missing.
    """
    info, _ = read_manifest(folder / MANIFEST, "dataset", DatasetInfo, FORMAT)
    if len(info.counts) != len(info.classes):
        raise HeadstartError(
            f"{folder / MANIFEST} is damaged ({len(info.classes)} classes, {len(info.counts)} counts); make the "
            "dataset again"
        )
    for shard in info.shards:
        if not (folder / shard).is_file():
            raise HeadstartError(f"{folder} lacks its shard {shard}; make the dataset again; {WAY_OUT_OF_CACHE}")
    return info


def read_training_infos(train: Path, validation: Path) -> tuple[DatasetInfo, DatasetInfo]:
    """Reads `dataset.json` of a training and a validation set that belong together.

    Raises:
        HeadstartError: They have different classes, or a class has no image to learn from.
    """
    learn, choose = read_dataset_info(train), read_dataset_info(validation)
    if learn.classes != choose.classes:
        raise HeadstartError(
            f"training classes {learn.classes} and validation classes {choose.classes} differ; "
            "pass two parts of one split"
        )
    missing = [name for name, count in zip(learn.classes, learn.counts, strict=True) if not count]
    if missing or not choose.images:
        raise HeadstartError(
            f"{train} has no image of class {', '.join(missing)}" if missing else f"{validation} has no images"
        )
    return learn, choose


def read_rows(folder: Path, batch_rows: int = 64) -> Iterator[ImageRow]:
    """Yields every image in shard order, holding `batch_rows` of them in memory."""
    info = read_dataset_info(folder)
    for shard in info.shards:
        # Reading a row group, of about `ROW_GROUP_BYTES`, through a buffer keeps memory flat over any number of them.
        with pq.ParquetFile(folder / shard, buffer_size=2**20, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=batch_rows):
                for row in batch.to_pylist():
                    image = row["image"]
                    yield ImageRow(
                        image=image["bytes"],
                        path=image["path"],
                        label=row["label"],
                        id=row["id"],
                        group=row["group"],
                        width=row["width"],
                        height=row["height"],
                        split=row["split"],
                        fold=row["fold"],
                        extra=tuple(row[name] for name in info.extra),
                    )


def read_columns(folder: Path, columns: list[str]) -> pa.Table:
    """Reads some columns of all shards, in the order of `read_rows`, and no pixels.

    Args:
        folder: A dataset artifact.
        columns: Names from the schema; ``image.path`` for the path inside the image struct.
    """
    tables = [pq.ParquetFile(folder / shard).read(columns=columns) for shard in read_dataset_info(folder).shards]
    return pa.concat_tables(tables).flatten()


def _digest(ids: pa.Array, labels: pa.Array, classes: list[str]) -> str:
    """SHA-256, in hexadecimal, over every image's id and class name, independent of the images' order.

    Args:
        ids: Text (images,).
        labels: Integers (images,), each an index into `classes`.
        classes: Class names.
    """
    names = pa.array(classes, pa.string()).take(labels)
    lines = pc.binary_join_element_wise(ids, names, "\t")
    order = pc.sort_indices(lines)
    digest = hashlib.sha256()
    for start in range(0, len(order), _LINES_AT_ONCE):
        part = lines.take(order[start : start + _LINES_AT_ONCE])
        digest.update("".join(f"{line}\n" for line in part.to_pylist()).encode())
    return digest.hexdigest()
