"""The dataset artifact: a folder of Parquet shards and `dataset.json`.

A row is one image, in the layout that Hugging Face `datasets` shows as images. `README.md` tells
`datasets.load_dataset` that the shards alone are the data. `dataset.json` is written last, so a folder without it is
incomplete.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
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

DATASET_JSON = "dataset.json"
DATASET_FORMAT = "headstart-dataset/2"
NO_FOLD = -1
SPLITS = ("train", "validation", "test")
"""Names of the splits, in the order in which they are used."""

USER_GROUP, NEAR_DUPLICATES = GROUP_COLUMNS = ("user_group", "near_duplicates")
"""Columns of datasets whose groups the user names, besides `group`."""

_README = "README.md"
_CARD = """\
---
configs:
- config_name: default
  data_files:
  - split: {split}
    path: images-*.parquet
---

# Labelled images

{images:,} images of {classes:,} classes. `dataset.json` has the names of the classes, and the digest of the data.

    datasets.load_dataset("FOLDER", split="{split}")
    datasets.load_dataset("parquet", data_files="FOLDER/images-*.parquet")
    duckdb.sql("SELECT label_name, count(*) FROM 'FOLDER/images-*.parquet' GROUP BY label_name")
"""
"""Dataset card, whose head tells `datasets` which files are the data."""

ROW_GROUP_BYTES = 8 * 2**20
"""Bytes of images in a row group, which a writer or reader holds in memory."""

_SHARD_BYTES = 256 * 2**20
_KEYS = pa.schema([("id", pa.string()), ("label", pa.int64())])
_LINES_AT_ONCE = 4096

ShardName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
"""Name of a file in the folder of the dataset."""


@dataclasses.dataclass(frozen=True)
class ImageRow:
    """One labelled image.

    Attributes:
        image: Encoded image: JPEG or PNG, RGB, upright.
        path: Path relative to its source.
        label: Index into the classes of the dataset.
        id: Hash of the pixels, equal for equal images in any encoding.
        group: Name that images share which must not be divided by a split: near-duplicates, and those of a group that
            the user names.
        width: Width in pixels.
        height: Height in pixels.
        split: Ready-made split of the source: ``train``, ``validation`` or ``test``; empty: none.
        fold: Cross-validation fold, from 0; `NO_FOLD` if there are none.
        extra: Values of the extra columns of the dataset, in their order.
        user_group: Group that the user names, such as a patient; empty: none.
        near_duplicates: Name that near-duplicates alone share; empty in datasets without groups of the user's.
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
    user_group: str = ""
    near_duplicates: str = ""


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Content of `dataset.json`.

    Attributes:
        classes: Class names; a label is an index into them.
        counts: Number of images in each class, in the order of `classes`.
        digest: SHA-256 over the ids and class names of all images, independent of their order.
        source: Source of the images.
        shards: File names of the Parquet shards, in reading order.
        extra: Names of further text columns, such as camera, site or year, by which metrics are sliced.
        max_side: Longest side in pixels to which larger images were reduced; 0: none were.
        ranges: Black and white of each form of deep images among the files, see `core.images.sample_ranges`; None: an
            earlier version made the dataset.
        grouping: Word for a group that the user names, such as ``patient``; empty: the user names none, and
            the rows have no `GROUP_COLUMNS`.
    """

    classes: Names
    counts: list[Count]
    digest: str
    source: str
    shards: list[ShardName]
    extra: Names = dataclasses.field(default_factory=list)
    max_side: Count = 0
    ranges: dict[str, CheckedRange] | None = None
    grouping: str = ""

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.counts)


def hash_user_group(name: str) -> str:
    """Name, in the form of an id, of a group that the user names; models keep it in place of the name itself.

    Args:
        name: Group as the user names it, not empty.
    """
    return hashlib.sha256(f"group {name}".encode(errors="surrogatepass")).hexdigest()[:32]


def dataset_schema(classes: list[str], extra: Sequence[str] = ()) -> pa.Schema:
    """Parquet schema of a shard, with the metadata for which `datasets` shows images and class names.

    Args:
        classes: Class names in label order.
        extra: Names of further text columns.
    """
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
    """Writes rows into shards with bounded memory; the dataset is complete when the `with` block ends well.

    Args:
        folder: Folder of the artifact; its present content is deleted.
        classes: Class names in label order.
        source: Source of the images.
        extra: Names of the extra columns.
        max_side: Longest side in pixels to which larger images were reduced; 0: none were.
        ranges: Black and white of each form of deep images; None: unknown.
        split: Name of the split under which `datasets` opens the folder; of a dataset that is not split, its own
            default, ``train``.
        grouping: Word for a group that the user names, see `DatasetInfo`; empty: none is named.
    """

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        source: str,
        extra: Sequence[str] = (),
        max_side: int = 0,
        ranges: Ranges | None = None,
        split: str = SPLITS[0],
        grouping: str = "",
    ) -> None:
        self._folder = make_empty_folder(folder)
        self._classes = classes
        self._source = source
        self._extra = list(extra)
        self._max_side = max_side
        self._ranges = None if ranges is None else dict(ranges)
        self._split = split
        self._grouping = grouping
        self._group_columns = list(GROUP_COLUMNS) if grouping else []
        self._schema = dataset_schema(classes, [*self._group_columns, *extra])
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
            # The first error is the one to report; a shard that cannot be closed is never read.
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
                *(self._extra, self._max_side, self._ranges, self._grouping),
            )
            card = _CARD.format(split=self._split, images=info.images, classes=len(info.classes))
            (self._folder / _README).write_text(card, encoding="utf-8")
            complete_folder(self._folder, DATASET_JSON, {"format": DATASET_FORMAT, **dataclasses.asdict(info)})

    def add(self, row: ImageRow) -> None:
        """Appends one image."""
        self._rows.append(row)
        self._pending_bytes += len(row.image)
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def add_group(self, columns: dict[str, pa.Array]) -> None:
        """Appends many images as a row group of their own, without copying them.

        Args:
            columns: Columns with the names of `ImageRow` and of the extra columns; `split` and `fold` are optional,
                and `GROUP_COLUMNS` are of datasets whose groups the user names.
                `image` has about `ROW_GROUP_BYTES` in all.
        """
        self._flush()
        self._write(columns)

    def _flush(self) -> None:
        if self._rows:
            left_out = {"extra", *GROUP_COLUMNS} - {*self._group_columns}
            names = [field.name for field in dataclasses.fields(ImageRow) if field.name not in left_out]
            own = {name: pa.array([getattr(row, name) for row in self._rows]) for name in names}
            extra = zip(self._extra, zip(*(row.extra for row in self._rows), strict=True), strict=True)
            self._write(own | {name: pa.array(values, pa.string()) for name, values in extra})
            self._rows, self._pending_bytes = [], 0

    def _write(self, columns: dict[str, pa.Array]) -> None:
        rows = len(columns["id"])
        usual = {"split": pa.repeat(pa.scalar(""), rows), "fold": pa.repeat(pa.scalar(NO_FOLD), rows)}
        values = usual | columns
        struct = self._schema.field("image").type
        values["image"] = pa.StructArray.from_arrays(
            [columns["image"].cast(pa.binary()), columns["path"]], fields=list(struct)
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
            # Images are compressed already; a second pass costs time and saves nothing.
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
        HeadstartError: If the folder is not a complete dataset artifact, or `dataset.json` is damaged.
    """
    info, _ = read_manifest(folder / DATASET_JSON, "dataset", DatasetInfo, DATASET_FORMAT)
    if len(info.counts) != len(info.classes):
        raise HeadstartError(
            f"{folder / DATASET_JSON} is damaged ({len(info.classes)} classes, {len(info.counts)} counts); make the "
            "dataset again"
        )
    for shard in info.shards:
        if not (folder / shard).is_file():
            raise HeadstartError(f"{folder} lacks its shard {shard}; make the dataset again; {WAY_OUT_OF_CACHE}")
    return info


def read_training_infos(train: Path, validation: Path, validates: bool = True) -> tuple[DatasetInfo, DatasetInfo]:
    """Reads `dataset.json` of a training and a validation set, and checks that they belong together.

    Args:
        train: Dataset artifact of the training images.
        validation: Dataset artifact of the validation images.
        validates: Whether there must be validation images.

    Raises:
        HeadstartError: If their classes differ, a class has no training image, or a validation image is missing.
    """
    train_info, validation_info = read_dataset_info(train), read_dataset_info(validation)
    if train_info.classes != validation_info.classes:
        raise HeadstartError(
            f"training classes {train_info.classes} and validation classes {validation_info.classes} differ; "
            "pass two parts of one split"
        )
    missing = [name for name, count in zip(train_info.classes, train_info.counts, strict=True) if not count]
    if missing or (validates and not validation_info.images):
        raise HeadstartError(
            f"{train} has no image of class {', '.join(missing)}" if missing else f"{validation} has no images"
        )
    return train_info, validation_info


def read_rows(folder: Path, batch_rows: int = 64) -> Iterator[ImageRow]:
    """Yields all images in the order of the shards, with `batch_rows` of them in memory."""
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
                        **{name: row[name] for name in GROUP_COLUMNS if info.grouping},
                    )


def read_columns(folder: Path, columns: list[str]) -> pa.Table:
    """Reads some columns of all shards, in the order of `read_rows`, without reading pixels.

    Args:
        folder: Dataset artifact.
        columns: Names from the schema; ``image.path``: the path inside the struct `image`.
    """
    info = read_dataset_info(folder)
    tables = [pq.ParquetFile(folder / shard).read(columns=columns) for shard in info.shards]
    if not tables:
        group_columns = GROUP_COLUMNS if info.grouping else ()
        return dataset_schema(info.classes, [*group_columns, *info.extra]).empty_table().flatten().select(columns)
    return pa.concat_tables(tables).flatten()


def read_user_groups(folder: Path) -> list[str]:
    """Group that the user names for each image, in the order of `read_rows`; empty: none.

    Args:
        folder: Dataset artifact.
    """
    info = read_dataset_info(folder)
    if not info.grouping:
        return [""] * info.images
    return list(read_columns(folder, [USER_GROUP])[USER_GROUP].to_pylist())


def find_known_groups(folder: Path, seen: Collection[str]) -> set[str]:
    """Groups of a dataset of which a model has seen an image, or of whose user's group it has.

    A group is named for one of its members, which need not be in this dataset.

    Args:
        folder: Dataset artifact.
        seen: Ids of images and hashed names of the user's groups, see `core.artifacts.model`.
    """
    columns = [each.to_pylist() for each in read_columns(folder, ["id", "group"]).columns]
    rows = zip(*columns, read_user_groups(folder), strict=True)
    return {
        group
        for image, group, named in rows
        if image in seen or group in seen or (named and hash_user_group(named) in seen)
    }


def _digest(ids: pa.Array, labels: pa.Array, classes: list[str]) -> str:
    """SHA-256, in hexadecimal, over the ids and class names of all images, independent of their order.

    Args:
        ids: Ids, text (images,).
        labels: Indices into `classes`, integers (images,).
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
