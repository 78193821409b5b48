import io
import json
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.components.core.artifacts import dataset as module
from headstart.components.core.artifacts.dataset import (
    DatasetWriter,
    ImageRow,
    read_columns,
    read_dataset_info,
    read_rows,
    read_training_infos,
)
from headstart.components.core.util.errors import HeadstartError


def row(number: int, label: int = 0) -> ImageRow:
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return ImageRow(buffer.getvalue(), f"{number}.png", label, f"id{number}", f"group{number}", 16, 16)


def write(folder: Path, rows: list[ImageRow]) -> Path:
    with DatasetWriter(folder, ["cat", "dog"], "here") as writer:
        for each in rows:
            writer.add(each)
    return folder


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [row(number, number % 2) for number in range(100)]
    folder = write(tmp_path / "data", rows)
    assert list(read_rows(folder)) == rows
    info = read_dataset_info(folder)
    assert (info.classes, info.counts, info.images, info.source) == (["cat", "dog"], [50, 50], 100, "here")
    assert read_columns(folder, ["image.path"])["image.path"].to_pylist() == [each.path for each in rows]


def test_shards_and_row_groups_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_GROUP_BYTES", 4_000)
    monkeypatch.setattr(module, "_SHARD_BYTES", 20_000)
    rows = [row(number) for number in range(100)]
    folder = write(tmp_path / "data", rows)
    shards = read_dataset_info(folder).shards
    assert len(shards) > 3
    for shard in shards:
        assert (folder / shard).stat().st_size < 30_000
        assert pq.ParquetFile(folder / shard).num_row_groups > 1
    assert list(read_rows(folder)) == rows


def test_digest_is_of_the_content_and_not_of_its_order(tmp_path: Path) -> None:
    rows = [row(number, number % 2) for number in range(10)]
    digest = read_dataset_info(write(tmp_path / "a", rows)).digest
    assert read_dataset_info(write(tmp_path / "b", rows[::-1])).digest == digest
    assert read_dataset_info(write(tmp_path / "c", rows[1:])).digest != digest
    assert read_dataset_info(write(tmp_path / "d", [row(0, 1), *rows[1:]])).digest != digest


def test_schema_tells_hugging_face_what_the_columns_are(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [row(0)])
    metadata = pq.read_schema(folder / read_dataset_info(folder).shards[0]).metadata
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == ["cat", "dog"]


def test_dataset_that_was_not_finished_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), DatasetWriter(tmp_path / "data", ["cat", "dog"], "here") as writer:
        writer.add(row(0))
        raise KeyboardInterrupt
    with pytest.raises(HeadstartError, match=r"dataset\.json is missing"):
        read_dataset_info(tmp_path / "data")


def test_what_an_earlier_attempt_left_is_gone(tmp_path: Path) -> None:
    write(tmp_path / "data", [row(number) for number in range(5)])
    folder = write(tmp_path / "data", [row(7)])
    assert [each.id for each in read_rows(folder)] == ["id7"]


def test_damage_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [row(0)])
    manifest = folder / "dataset.json"
    whole = manifest.read_text()
    for text, message in (
        (whole[:20], "damaged"),
        (whole.replace("headstart-dataset/2", "other/1"), "not in the format"),
        (whole.replace('"digest"', '"digits"'), "damaged"),
    ):
        manifest.write_text(text)
        with pytest.raises(HeadstartError, match=message):
            read_dataset_info(folder)
    manifest.write_text(whole)
    (folder / read_dataset_info(folder).shards[0]).unlink()
    with pytest.raises(HeadstartError, match="lacks its shard"):
        read_dataset_info(folder)


def test_training_needs_every_class(tmp_path: Path) -> None:
    both = write(tmp_path / "both", [row(0, 0), row(1, 1)])
    cats = write(tmp_path / "cats", [row(0, 0)])
    assert read_training_infos(both, cats)[0].images == 2
    with pytest.raises(HeadstartError, match="no image of class dog"):
        read_training_infos(cats, both)


def test_hugging_face_shows_images_and_class_names(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [row(number, number % 2) for number in range(10)])
    files = [str(folder / shard) for shard in read_dataset_info(folder).shards]
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.features["label"].names == ["cat", "dog"]
    assert rows[3]["image"].size == (16, 16)
    assert rows.features["label"].int2str(rows[3]["label"]) == rows[3]["label_name"] == "dog"


def test_folders_that_steps_wrote_open_elsewhere(dataset: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    for folder, split in ((dataset, "train"), (splits["validation"], "validation"), (splits["test"], "test")):
        rows, shards = list(read_rows(folder)), str(folder / "images-*.parquet")
        by_folder = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
        assert list(by_folder) == [split]
        by_pattern = datasets.load_dataset("parquet", data_files=shards, cache_dir=str(tmp_path / "cache"))
        for opened in (by_folder[split], by_pattern["train"]):
            assert opened.features["label"].names == ["cat", "dog"]
            assert list(opened["id"]) == [row.id for row in rows]
            assert np.asarray(opened[0]["image"]).shape == (rows[0].height, rows[0].width, 3)
        queried = duckdb.sql(f"select id, image.bytes from '{shards}'").fetchall()
        assert dict(queried) == {row.id: row.image for row in rows}
        assert np.asarray(Image.open(io.BytesIO(queried[0][1]))).ndim == 3


def test_duckdb_counts_classes_without_reading_pixels(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [row(number, number % 2) for number in range(2000)])
    (shard,) = (folder / name for name in read_dataset_info(folder).shards)
    query = f"select label_name, count(*) from '{shard}' group by 1 order by 1"
    assert duckdb.sql(query).fetchall() == [("cat", 1000), ("dog", 1000)]
    # With the pixels overwritten the answer is the same.
    table = pq.ParquetFile(shard)
    spoiled = bytearray(shard.read_bytes())
    for group in range(table.num_row_groups):
        column = table.metadata.row_group(group).column(0)
        assert column.path_in_schema == "image.bytes"
        spoiled[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = bytes(
            column.total_compressed_size
        )
    shard.write_bytes(spoiled)
    assert duckdb.sql(query).fetchall() == [("cat", 1000), ("dog", 1000)]
