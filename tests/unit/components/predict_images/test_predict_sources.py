"""`predict` takes what training takes, and says so where nothing could be read."""

import contextlib
import csv
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.hostile import encode_image, make_image
from support.servers import serve_folder
from typer.testing import CliRunner

from headstart.components.core.sources import Unreadable
from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.named_images import count_images, find_images
from headstart.components.predict_images.step import PredictionInputs, predict_images
from headstart.pipelines.cli.main import app

PICTURES = {f"{seed}.jpg": encode_image(make_image(seed)) for seed in range(5)}


def write_sources(folder: Path) -> list[Path]:
    """The same pictures in every kind of source."""
    (folder / "pictures").mkdir()
    for name, content in PICTURES.items():
        (folder / "pictures" / name).write_bytes(content)
    (folder / "pictures" / "0.jpg.json").write_text("{}")
    with zipfile.ZipFile(folder / "pets.zip", "w") as archive:
        for name in PICTURES:
            archive.write(folder / "pictures" / name, f"cats/{name}")
        archive.writestr("labels.csv", "image,label\ncats/0.jpg,cat\n")
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "camera"], *([f"pictures/{name}", "x"] for name in PICTURES)])
    (folder / "plain.txt").write_text("".join(f"pictures/{name}\n" for name in PICTURES))
    images = [{"bytes": content, "path": name} for name, content in PICTURES.items()]
    pq.write_table(pa.table({"photo": images}), folder / "pets.parquet")
    (folder / "saved").mkdir()
    pq.write_table(pa.table({"image": images, "label": [1.5] * 5}), folder / "saved" / "train.parquet")
    return [folder / name for name in ("pictures", "pets.zip", "list.csv", "plain.txt", "pets.parquet", "saved")]


def contents(paths: list[str], image_column: str = "") -> list[bytes | str]:
    with contextlib.ExitStack() as opened:
        # All are found before the first is loaded, as when they are read ahead.
        found: list[bytes | str] = []
        for image in list(find_images(paths, opened, image_column)):
            try:
                found.append(image.load())
            except Unreadable as error:
                found.append(f"{error.reason}: {error.detail}")
        return found


def test_pictures_of_every_source_are_found(tmp_path: Path) -> None:
    for source in write_sources(tmp_path):
        assert contents([str(source)]) == list(PICTURES.values()), source
    with serve_folder(tmp_path) as address:
        for name in ("pets.zip", "list.csv", "plain.txt", "pets.parquet"):
            assert contents([f"{address}/{name}?token=x"]) == list(PICTURES.values()), name


def test_a_source_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    write_sources(tmp_path)
    (tmp_path / "broken.zip").write_bytes((tmp_path / "pets.zip").read_bytes()[:300])
    (tmp_path / "two.csv").write_text("file,filename\n1.jpg,2.jpg\n")
    os.mkfifo(tmp_path / "pipe.csv")
    paths = [tmp_path / "broken.zip", tmp_path / "two.csv", tmp_path / "pipe.csv", tmp_path / "pictures" / "0.jpg"]
    broken, two, pipe, good = contents([str(each) for each in paths])
    assert str(broken).startswith("unreadable: data")
    assert "'file' or 'filename'; say which with image_column" in str(two)
    assert str(pipe).startswith("not a file")
    assert good == PICTURES["0.jpg"]


def test_the_step_predicts_them(head: Path, tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    tally = predict_images(PredictionInputs([str(each) for each in sources], head), tmp_path / "out.parquet")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (tally.images, tally.unreadable.total()) == (5 * len(sources), 0)
    assert {row["file"] for row in rows[5:10]} == {f"{tmp_path}/pets.zip: cats/{name}" for name in PICTURES}
    labels = [row["label"] for row in rows]
    assert labels == labels[:5] * len(sources)


def test_where_nothing_could_be_read_the_step_fails_and_the_file_tells_why(head: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    message = r"no image could be read: 2 of 2 .*: 2 Git LFS pointer; .*a\.jpg: Git LFS pointer: .*run `git lfs pull`"
    with pytest.raises(HeadstartError, match=message):
        predict_images(PredictionInputs([str(tmp_path / "*.jpg")], head), tmp_path / "out.parquet")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["reason"] for row in rows] == ["Git LFS pointer"] * 2


def test_the_command_takes_an_archive_and_a_column(run_output: Path, tmp_path: Path) -> None:
    write_sources(tmp_path)
    (tmp_path / "two.csv").write_text("file,filename\nnone.jpg,pictures/1.jpg\n")
    arguments = [str(run_output), str(tmp_path / "pets.zip"), str(tmp_path / "two.csv"), "--image-column", "filename"]
    result = CliRunner().invoke(app, ["predict", *arguments])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 6


def test_images_on_this_machine_are_counted_beforehand(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not read")
    folder = str(tmp_path)
    paths = [folder, f"{folder}/*.jpg", f"file://{folder}/a.jpg", f"{folder}/none.jpg"]
    assert count_images(paths) == 3 + 2 + 1 + 1 == sum(1 for _ in find_images(paths))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("d.jpg", b"not read")
    for other in (f"{folder}/more.zip", "gs://bucket/images", "https://example.com/e.jpg"):
        assert count_images([folder, other]) == 0
