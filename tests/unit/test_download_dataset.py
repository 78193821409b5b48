import csv
import io
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from support.pictures import PER_CLASS

from headstart.components.core.dataset import read_info, read_rows
from headstart.components.core.errors import HeadstartError
from headstart.components.download_dataset.step import download_dataset


def quarantine(dataset: Path) -> dict[str, str]:
    with (dataset / "quarantine.csv").open(newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def test_good_pictures_are_kept_and_broken_ones_listed(pictures: Path, dataset: Path) -> None:
    info = read_info(dataset)
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
        assert download_dataset(str(data), tmp_path / "out").digest == read_info(dataset).digest


def test_repeated_pixels_are_kept_once_and_contradictions_listed(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg"):
        shutil.copy(pictures / name, folder)
    shutil.copy(folder / "cat.1.jpg", folder / "cat.3.jpg")
    shutil.copy(folder / "cat.1.jpg", folder / "dog.2.jpg")
    (folder / "README").write_text("not of any class")
    assert download_dataset(str(folder), tmp_path / "out").counts == [2, 1]
    assert quarantine(tmp_path / "out") == {
        "cat.3.jpg": "duplicate",
        "dog.2.jpg": "conflict",
        "README": "no class",
    }


def test_class_without_a_usable_picture_stops_the_run(pictures: Path, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / "data" / name).mkdir(parents=True)
    shutil.copy(pictures / "cat.1.jpg", tmp_path / "data" / "cats")
    (tmp_path / "data" / "dogs" / "broken.jpg").write_bytes(b"")
    with pytest.raises(HeadstartError, match=r"class 'dogs' can be used; dogs/broken\.jpg: empty"):
        download_dataset(str(tmp_path / "data"), tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()
