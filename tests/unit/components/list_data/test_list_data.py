import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.servers import serve_folder

from headstart.components.core.util.errors import HeadstartError
from headstart.components.list_data import step
from headstart.components.list_data.step import list_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three small files in class folders; what is in them is nobody's business here."""
    for name in ("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "pets"


def of(*sources: Path | str) -> str:
    return list_data([str(source) for source in sources])


def test_the_same_files_give_the_same_digest_wherever_the_folder_lies(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copy2)
    assert of(folder) == of(folder) == of(copy)


def test_images_are_not_read(folder: Path) -> None:
    before = of(folder)
    changed = folder / "cats" / "1.jpg"
    times = changed.stat()
    changed.write_text("cats/9.jpg")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert of(folder) == before


def test_heic_without_its_package_is_told_before_an_image_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(step, "event", lambda name, **values: told.append(values.get("text")))
    (folder / "cats" / "3.HEIC").write_text("photo")
    of(folder)
    assert set(told) == {None}
    monkeypatch.setattr(step, "_HEIC_PACKAGE", "no_such_package")
    of(folder)
    (text,) = set(told) - {None}
    assert "1 of 4 images are HEIC, which needs pillow-heif" in str(text)
    for number in range(4, 8):
        (folder / "cats" / f"{number}.heic").write_text("photo")
    with pytest.raises(HeadstartError, match=r"5 of 8 images are HEIC, .*: pip install 'headstart\[heic\]'"):
        of(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "dogs" / "2.jpg").write_text("new"),
        lambda folder: (folder / "dogs" / "1.jpg").write_text("longer than before"),
        lambda folder: os.utime(folder / "dogs" / "1.jpg", (1, 1)),
        lambda folder: (folder / "dogs" / "1.jpg").rename(folder / "cats" / "3.jpg"),
        lambda folder: (folder / "dogs" / "1.jpg").unlink(),
    ],
    ids=["added", "grown", "touched", "moved", "removed"],
)
def test_every_change_gives_another_digest(folder: Path, change: object) -> None:
    before = of(folder)
    change(folder)  # type: ignore[operator]
    assert of(folder) != before


def test_junk_changes_nothing(folder: Path) -> None:
    before = of(folder)
    (folder / ".DS_Store").write_text("junk")
    (folder / "cats" / "Thumbs.db").write_text("junk")
    assert of(folder) == before


def test_several_sources_and_their_order_count(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_text("an archive, for all that a listing knows")
    assert len({of(folder), of(folder, other), of(other, folder)}) == 3


@pytest.mark.parametrize("text", ["image,label\ncats/1.jpg,cat\n", '{"image": "cats/1.jpg", "label": "cat"}\n'])
def test_a_manifest_changes_with_the_images_it_names(folder: Path, text: str) -> None:
    manifest = folder / f"pets.{'csv' if text.startswith('image') else 'jsonl'}"
    manifest.write_text(text)
    before = of(manifest)
    os.utime(folder / "dogs" / "1.jpg", (1, 1))
    assert of(manifest) == before
    os.utime(folder / "cats" / "1.jpg", (1, 1))
    changed = of(manifest)
    (folder / "cats" / "1.jpg").unlink()
    assert len({before, changed, of(manifest)}) == 3


@pytest.mark.parametrize("name", ["nowhere.jpg", "x" * 300, "a\0b.jpg", "\ud800.jpg", "~nobody-of-that-name/x.jpg"])
def test_what_a_manifest_names_and_is_not_there_is_listed_as_absent(folder: Path, name: str) -> None:
    manifest = folder / "pets.jsonl"
    manifest.write_text(json.dumps({"image": "cats/1.jpg", "label": "cat"}))
    before = of(manifest)
    manifest.write_text(json.dumps({"image": name, "label": "cat"}))
    assert of(manifest) == of(manifest) != before


def test_a_server_that_gives_no_version_gives_another_digest_every_time(folder: Path) -> None:
    with serve_folder(folder, says="etag") as address:
        assert of(f"{address}/cats/1.jpg") == of(f"{address}/cats/1.jpg")
    with serve_folder(folder, says="digest") as address:
        assert of(f"{address}/cats/1.jpg") != of(f"{address}/cats/1.jpg")


def test_secrets_of_an_address_are_neither_shown_nor_part_of_the_digest(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_folder(folder, says="modified") as address:
        first = of(f"{address}/cats/1.jpg?signature=secret-1")
        assert of(f"{address}/cats/1.jpg?signature=secret-2") == first
    assert "secret-" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{folder}/birds", "birds' does not exist"),
        ("{folder}/empty", "holds no files"),
        ("ftp://host/pets.zip", "no store for 'ftp://host/pets.zip'"),
        ("{folder}/wrong.csv", "it lacks label"),
    ],
)
def test_what_cannot_be_listed_is_refused(folder: Path, data: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "wrong.csv").write_text("image,species\n")
    with pytest.raises(HeadstartError, match=message):
        of(data.format(folder=folder))


def test_corrections_count_by_what_they_hold(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text("id,label\n")
    without, first = list_data([str(pictures)]), list_data([str(pictures)], str(file))
    file.write_text("id,label\nab,cat\n")
    assert len({without, first, list_data([str(pictures)], str(file))}) == 3
    with pytest.raises(HeadstartError, match="cannot be read"):
        list_data([str(pictures)], str(tmp_path / "none.csv"))


def test_parquet_changes_with_the_images_it_names(folder: Path) -> None:
    pq.write_table(pa.table({"image": ["cats/1.jpg"], "label": ["cat"]}), folder / "pets.parquet")
    before = of(str(folder / "pets.parquet"))
    assert of(str(folder / "pets.parquet")) == before
    (folder / "cats" / "1.jpg").write_bytes(b"another image")
    assert of(str(folder / "pets.parquet")) != before
