import csv
import hashlib
import io
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image, ImageOps
from support.disks import small_disk
from support.drawn_images import PER_CLASS

from headstart.components.core.artifacts.dataset import DatasetInfo, read_dataset_info, read_rows
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset


def quarantine(dataset: Path) -> dict[str, str]:
    with (dataset / "quarantine.csv").open(newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def download(data: Path, out: Path, **settings: Any) -> DatasetInfo:
    return download_dataset([str(data)], out, out.parent / "hygiene.html", DownloadSettings(**settings))


def test_good_images_are_kept_and_broken_ones_listed(pictures: Path, dataset: Path) -> None:
    info = read_dataset_info(dataset)
    assert info.classes == ["cat", "dog"]
    assert info.counts == [PER_CLASS, PER_CLASS]
    broken = quarantine(dataset)
    assert len(broken) == len(list(pictures.iterdir())) - 2 * PER_CLASS >= 5
    assert set(broken.values()) >= {"empty", "not an image", "truncated"}
    for row in read_rows(dataset):
        assert row.image == (pictures / row.path).read_bytes()
        assert Image.open(io.BytesIO(row.image)).size == (row.width, row.height)


def test_folder_of_class_folders_and_archive_give_the_same_dataset(
    pictures: Path, dataset: Path, tmp_path: Path
) -> None:
    folders = tmp_path / "folders"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in pictures.iterdir():
            name = path.name.partition(".")[0]
            (folders / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folders / name)
            archive.write(path, f"train/{path.name}")
    for data in (folders, tmp_path / "a.zip"):
        assert download(data, tmp_path / "out").digest == read_dataset_info(dataset).digest


def test_repeated_pixels_are_kept_once_and_contradictions_listed(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg"):
        shutil.copy(pictures / name, folder)
    shutil.copy(folder / "cat.1.jpg", folder / "cat.3.jpg")
    shutil.copy(folder / "cat.1.jpg", folder / "dog.2.jpg")
    (folder / "README").write_text("not of any class")
    shutil.copy(folder / "cat.2.jpg", folder / "cat.4.jpg")
    assert download(folder, tmp_path / "out", max_bad_fraction=1).counts == [1, 1]
    assert quarantine(tmp_path / "out") == {
        "cat.1.jpg": "conflict",
        "cat.3.jpg": "conflict",
        "dog.2.jpg": "conflict",
        "cat.4.jpg": "duplicate",
        "README": "no class",
    }


def test_of_copies_in_ready_made_splits_the_one_that_is_used_last_is_kept(pictures: Path, tmp_path: Path) -> None:
    copies = {"1": ["train", "train", "test"], "2": ["validation", "train"], "3": ["test"], "4": ["train", "train"]}
    for kind in ("cat", "dog"):
        for number, splits in copies.items():
            for place, split in enumerate(splits):
                path = tmp_path / "data" / split / kind / f"{number}-{place}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(pictures / f"{kind}.{number}.jpg", path)
    download(tmp_path / "data", tmp_path / "out", max_bad_fraction=1)
    assert {row.path for row in read_rows(tmp_path / "out") if "cat" in row.path} == {
        "test/cat/1-2.jpg",
        "validation/cat/2-0.jpg",
        "test/cat/3-0.jpg",
        "train/cat/4-0.jpg",
    }
    assert {name: reason for name, reason in quarantine(tmp_path / "out").items() if "cat" in name} == {
        "train/cat/1-0.jpg": "leak",
        "train/cat/1-1.jpg": "leak",
        "train/cat/2-1.jpg": "leak",
        "train/cat/4-1.jpg": "duplicate",
    }


def test_class_without_a_usable_image_stops_the_run(pictures: Path, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / "data" / name).mkdir(parents=True)
    shutil.copy(pictures / "cat.1.jpg", tmp_path / "data" / "cats")
    (tmp_path / "data" / "dogs" / "broken.jpg").write_bytes(b"")
    with pytest.raises(HeadstartError, match=r"class 'dogs' can be used: dogs/broken\.jpg: empty"):
        download(tmp_path / "data", tmp_path / "out", max_bad_fraction=1)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_too_many_bad_files_stop_the_run_with_the_lists_head(pictures: Path, tmp_path: Path) -> None:
    message = (
        r"more than 2% of 1\d\d files cannot be used: .+: \w+.*; repair or remove them, or raise max_bad_fraction"
    )
    with pytest.raises(HeadstartError, match=message):
        download(pictures, tmp_path / "out", max_bad_fraction=0.02)
    assert not (tmp_path / "out").exists()


def test_near_duplicates_share_a_group_and_others_do_not(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(pictures, folder)
    original = Image.open(pictures / "cat.1.jpg")
    original.resize((original.width // 2, original.height // 2)).save(folder / "cat.1001.jpg")
    original.save(folder / "cat.1002.jpg", quality=40)
    ImageOps.mirror(original).save(folder / "cat.1003.jpg")
    download(folder, tmp_path / "out")
    groups: dict[str, set[str]] = {}
    for row in read_rows(tmp_path / "out"):
        groups.setdefault(row.group, set()).add(row.path)
    several = [paths for paths in groups.values() if len(paths) > 1]
    assert several == [{"cat.1.jpg", "cat.1001.jpg", "cat.1002.jpg", "cat.1003.jpg"}]


def test_several_sources_make_one_dataset(pictures: Path, dataset: Path, tmp_path: Path) -> None:
    rows = [["image", "label"]]
    with zipfile.ZipFile(tmp_path / "cats.zip", "w") as archive:
        for path in sorted(pictures.iterdir()):
            if path.name.startswith("cat"):
                archive.write(path, path.name)
            else:
                rows.append([str(path), "dog"])
    with (tmp_path / "dogs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    sources = [str(tmp_path / "cats.zip"), str(tmp_path / "dogs.csv")]
    digest = hashlib.sha256((tmp_path / "cats.zip").read_bytes()).hexdigest()
    info = download_dataset(sources, tmp_path / "out", tmp_path / "page.html", DownloadSettings(sha256=[digest, ""]))
    assert info.digest == read_dataset_info(dataset).digest
    with pytest.raises(HeadstartError, match=f"has the SHA-256 {digest}, not 000"):
        download_dataset(sources, tmp_path / "out", tmp_path / "page.html", DownloadSettings(sha256=["0" * 64, ""]))
    with pytest.raises(HeadstartError, match="sha256 has 1 values for 2 sources"):
        download_dataset(sources, tmp_path / "out", tmp_path / "page.html", DownloadSettings(sha256=[digest]))


def test_own_artifact_and_hugging_face_parquet_are_sources(dataset: Path, tmp_path: Path) -> None:
    assert download(dataset, tmp_path / "out").digest == read_dataset_info(dataset).digest
    shard = dataset / read_dataset_info(dataset).shards[0]
    assert download(shard, tmp_path / "out").digest == read_dataset_info(dataset).digest
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    rows = datasets.load_dataset("parquet", data_files=str(shard), split="train", cache_dir=str(tmp_path / "cache"))
    parts = rows.train_test_split(test_size=0.25, seed=0)
    for name, part in parts.items():
        part.to_parquet(hub / f"{name}-00000-of-00001.parquet")
    (tmp_path / "hub" / "README.md").write_text("a data card")
    assert download(tmp_path / "hub", tmp_path / "out").digest == read_dataset_info(dataset).digest
    found = Counter(row.split for row in read_rows(tmp_path / "out"))
    assert found == {name: len(part) for name, part in parts.items()}


def test_full_disk_is_one_line(pictures: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "100k") as small:
        with pytest.raises(HeadstartError, match="no space left on the disk of"):
            download(pictures, small / "out")
        assert not (small / "out" / "dataset.json").exists()


def gray_levels(pictures: Path) -> dict[str, np.ndarray]:
    """Some drawn images in gray, by the names of their files, without suffix."""
    names = [f"{kind}.{number}" for kind in ("cat", "dog") for number in range(1, 7)]
    return {name: np.asarray(Image.open(pictures / f"{name}.jpg").convert("L")).astype(np.int64) for name in names}


def stored(dataset: Path) -> dict[str, np.ndarray]:
    rows = read_rows(dataset)
    return {row.path.rpartition(".")[0]: np.asarray(Image.open(io.BytesIO(row.image)))[..., 0] for row in rows}


@pytest.mark.parametrize(
    ("factor", "dtype", "suffix", "form", "white"),
    [
        (16, np.uint16, "png", "PNG gray uint16", 4095),
        (4, np.uint16, "png", "PNG gray uint16", 1023),
        (1, np.uint16, "png", "PNG gray uint16", 255),
        (257, np.uint16, "png", "PNG gray uint16", 65_535),
        (1, np.int32, "tiff", "TIFF gray int32", 255),
        (10_000 / 255, np.float32, "tiff", "TIFF gray float32", 10_000),
    ],
)
def test_deep_images_share_the_range_of_their_form(
    pictures: Path, tmp_path: Path, factor: float, dtype: type, suffix: str, form: str, white: float
) -> None:
    (tmp_path / "data").mkdir()
    levels = gray_levels(pictures)
    for name, gray in levels.items():
        # A dark image stays a dark one: the range is that of all of them.
        shades = gray // 4 if name == "cat.1" else gray
        Image.fromarray((shades * factor).astype(dtype)).save(tmp_path / "data" / f"{name}.{suffix}")
    info = download(tmp_path / "data", tmp_path / "out")
    assert info.ranges is not None
    assert list(info.ranges) == [form]
    assert info.ranges[form] == pytest.approx((0, white), rel=0.03 if suffix == "tiff" else 0)
    shown = stored(tmp_path / "out")
    assert shown.keys() == levels.keys()
    for name, gray in levels.items():
        shades = gray // 4 if name == "cat.1" else gray
        assert np.abs(shown[name] - shades * factor * 255 / info.ranges[form][1]).max() <= 0.51
    page = (tmp_path / "hygiene.html").read_text(encoding="utf-8")
    assert "more than 8 bits" in page and form in page
    folders = {name: tmp_path / name for name in ("train", "validation", "test")}
    split_dataset(tmp_path / "out", **folders, settings=SplitSettings(SplitSizes([2, 1, 1], [])))
    assert all(read_dataset_info(folder).ranges == info.ranges for folder in folders.values())


def test_ordinary_images_come_before_deep_ones_and_have_no_range(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, gray in gray_levels(pictures).items():
        if name[-1] in "15":
            Image.fromarray((gray * 16).astype(np.uint16)).save(tmp_path / "data" / f"{name}.png")
        elif name[-1] == "2":
            stated = tmp_path / "data" / f"{name}.tiff"
            Image.fromarray((gray * 3).astype(np.uint16)).save(stated, tiffinfo={341: 765})
        else:
            shutil.copy(pictures / f"{name}.jpg", tmp_path / "data")
    (tmp_path / "data" / "cat.7.png").write_bytes((tmp_path / "data" / "cat.1.png").read_bytes()[:200])
    info = download(tmp_path / "data", tmp_path / "out")
    assert info.ranges == {"PNG gray uint16": (0, 4095)}
    assert [row.path for row in read_rows(tmp_path / "out")][-4:] == [
        "cat.1.png",
        "cat.5.png",
        "dog.1.png",
        "dog.5.png",
    ]
    assert quarantine(tmp_path / "out") == {"cat.7.png": "truncated"}
    shown, levels = stored(tmp_path / "out"), gray_levels(pictures)
    assert (shown["dog.2"] == levels["dog.2"]).all(), "the file states its range"


def test_ordinary_images_are_read_once(pictures: Path, dataset: Path) -> None:
    assert read_dataset_info(dataset).ranges == {}


def test_collapsed_contrast_is_warned_of(pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").mkdir()
    for name, gray in gray_levels(pictures).items():
        # One image of another sensor among them: its range is dark for the others.
        factor = 257 if name == "cat.1" else 1
        Image.fromarray((gray * factor).astype(np.uint16)).save(tmp_path / "data" / f"{name}.png")
    caplog.set_level("INFO", "headstart")
    download(tmp_path / "data", tmp_path / "out", max_bad_fraction=1)
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("event=warning")]
    assert "images of the form PNG gray uint16 have low contrast with 0 to 65535 as black to white" in line
