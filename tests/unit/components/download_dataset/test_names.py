"""Names of files and classes stay as they are, whatever letters they have; a terminal sees what it can show."""

import csv
import json
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import pytest

from headstart.components.core.artifacts.dataset import read_dataset_info, read_rows
from headstart.components.core.artifacts.hygiene import read_hygiene
from headstart.components.core.sources import folder, open_source
from headstart.components.core.sources.file_names import escape_name, unescape_name
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import escape_unprintable
from headstart.components.download_dataset.class_names import (
    describe_classes,
    describe_similar_names,
    find_similar_names,
    note_multi_label_names,
)
from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.pipelines.cli.predict import Terminal
from headstart.pipelines.progress.events import ClassesFound, parse

NAMES = ["柴\u3000犬", "👨\u200d👩\u200d👧", "a\u00a0b", "Zoë", "\u202egpj.exe", "a\nb", "a\x1b[31m"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_text_is_stored_as_it_is(name: str) -> None:
    assert escape_name(name) == name


@pytest.mark.parametrize(
    "raw", [b"caf\xe9", b"caf\\xe9", b"caf\\x5cxe9", b"\\x41", b"a\\b", b"\xff\\x80", "é".encode()]
)
def test_names_that_are_no_text_are_stored_reversibly_and_apart(raw: bytes) -> None:
    name = os.fsdecode(raw)
    stored = escape_name(name)
    stored.encode()
    assert os.fsencode(unescape_name(stored)) == raw


def test_different_names_are_stored_differently() -> None:
    names = [b"caf\xe9", b"caf\\xe9", b"caf\\x5cxe9", b"caf\\\xe9", "cafe\u0301".encode(), "café".encode()]
    assert len({escape_name(os.fsdecode(name)) for name in names}) == len(names)


def test_a_terminal_sees_letters_of_all_scripts_and_no_control_characters() -> None:
    for name in ["柴\u3000犬", "👨\u200d👩\u200d👧", "a\u00a0b", "חתול", "🏴\U000e0067\U000e0062\U000e007f"]:
        assert escape_unprintable(name) == name
    assert escape_unprintable("a\nb\x1b\x9b\u202e\u2066\u2028\ufeff\udce9") == (
        "a\\nb\\x1b\\x9b\\u202e\\u2066\\u2028\\ufeff\\udce9"
    )


def test_messages_and_log_lines_keep_wide_blanks(logged: pytest.LogCaptureFixture) -> None:
    assert str(HeadstartError("class 柴\u3000犬\nis  bad")) == "class 柴\u3000犬 is bad"
    event("classes", classes="2 classes: 柴\u3000犬 (3), it's (4)", told="the folders of a\\b")
    assert parse(logged.messages[-1]) == ClassesFound("2 classes: 柴\u3000犬 (3), it's (4); from the folders of a\\b")


def test_many_classes_are_named_by_the_first_the_smallest_and_the_largest() -> None:
    words = describe_classes({f"class {number}": 100 + number for number in range(300)} | {"rare": 2})
    assert words.startswith(
        "301 classes: class 0 (100), class 1 (101), class 2 (102), class 3 (103), class 4 (104), "
    )
    assert words.endswith("… 296 more; smallest rare (2), largest class 299 (399)")


def test_classes_that_differ_in_case_blanks_or_form_only_are_found() -> None:
    names = ["cat", "Cat", "cat ", "ca\u200bt", "dog", "e\u0301", "é", "\uff44\uff4f\uff47"]
    assert find_similar_names(names) == [
        ["Cat", "cat", "cat ", "ca\u200bt"],
        ["dog", "\uff44\uff4f\uff47"],
        ["e\u0301", "é"],
    ]
    assert describe_similar_names(["cat", "cat ", "ca\u200bt"]).endswith(r"only: 'cat', 'cat ', 'ca\u200bt'")


def draw(pictures: Path, place: Path, kind: str, numbers: range) -> None:
    place.mkdir(parents=True)
    for number in numbers:
        shutil.copy(pictures / f"{kind}.{number}.jpg", place / f"写真\u3000{number}.jpg")


def test_files_hold_true_names_and_pages_say_the_classes_first(
    pictures: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    draw(pictures, data / "train" / "柴\u3000犬", "dog", range(1, 6))
    draw(pictures, data / "train" / "三毛\u3000猫", "cat", range(1, 5))
    draw(pictures, data / "train" / "三毛\u3000猫 ", "cat", range(5, 7))
    draw(pictures, data / "test", "cat", range(10, 20))
    info = download_dataset(
        [str(data)], tmp_path / "out", tmp_path / "page.html", DownloadSettings(max_bad_fraction=0)
    )
    assert info.classes == ["三毛\u3000猫", "三毛\u3000猫 ", "柴\u3000犬"]
    assert info.counts == [4, 2, 5]
    assert "train/柴\u3000犬/写真\u30001.jpg" in {row.path for row in read_rows(tmp_path / "out")}
    with (tmp_path / "out" / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        left = [row for row in csv.DictReader(file) if row["reason"] == "left out"]
    assert [row["file"] for row in left] == [f"test/写真\u3000{number}.jpg" for number in range(10, 20)]
    first = "3 classes: 三毛\u3000猫 (4), 三毛\u3000猫  (2), 柴\u3000犬 (5); from the folders of data"
    assert parse(next(each for each in logged.messages if each.startswith("event=classes "))) == ClassesFound(
        first.replace("猫  (2)", "猫 (2)").replace("of data", f"of {data}")
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"<dt>Data</dt><dd>{first}</dd>" in page.partition("<main")[0]
    assert "Similar class names" in page and "left out: test (10 files)" in page
    summary = read_hygiene(tmp_path / "out")
    assert summary is not None and summary.first_line == first
    notes = [each for each in logged.messages if each.startswith("event=warning")]
    assert any("differ in case, blanks or Unicode form only" in each for each in notes)


def test_two_unicode_forms_of_one_class_are_one_and_files_keep_their_names(pictures: Path, tmp_path: Path) -> None:
    for number, form in enumerate(("NFC", "NFD"), start=1):
        place = tmp_path / "data" / unicodedata.normalize(form, "café")
        place.mkdir(parents=True)
        shutil.copy(pictures / f"cat.{number}.jpg", place / "1.jpg")
    (tmp_path / "data" / "dogs").mkdir()
    shutil.copy(pictures / "dog.1.jpg", tmp_path / "data" / "dogs")
    download_dataset([str(tmp_path / "data")], tmp_path / "out", tmp_path / "page.html")
    assert read_dataset_info(tmp_path / "out").classes == ["café", "dogs"]
    paths = {row.path for row in read_rows(tmp_path / "out")}
    assert {unicodedata.normalize(form, "café") + "/1.jpg" for form in ("NFC", "NFD")} < paths


def test_a_dataset_written_before_has_no_first_line(tmp_path: Path) -> None:
    old = {"files": 1, "used": 1, "left_out": {}, "near_duplicates": 0, "findings": []}
    (tmp_path / "hygiene.json").write_text(json.dumps(old))
    summary = read_hygiene(tmp_path)
    assert summary is not None and summary.first_line == ""


def write_zip(path: Path, names: list[bytes], flag: bool = False) -> str:
    """A zip archive with names of these very bytes; the flag says that they are UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(chr(ord("A") + number) * len(name), b"content")
    content = path.read_bytes()
    for number, name in enumerate(names):
        content = content.replace(bytes([ord("A") + number]) * len(name), name)
    if flag:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            parts = content.split(mark)
            content = mark.join(
                [
                    parts[0],
                    *(
                        each[: at - 4] + bytes([each[at - 4], each[at - 3] | 8]) + each[at - 2 :]
                        for each in parts[1:]
                    ),
                ]
            )
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("encoding", "classes", "doubtful"),
    [
        ("utf-8", ["猫", "Bär"], False),
        ("gbk", ["三毛\u3000猫", "柴\u3000犬", "照片"], True),
        ("gbk", ["猫", "狗"], True),
        ("cp932", ["柴犬", "三毛猫", "表情"], False),
        ("cp949", ["고양이", "강아지"], True),
        ("big5", ["貓", "狗", "照片"], False),
        ("cp866", ["кошки", "собаки"], True),
        ("cp1251", ["кошки", "собаки"], True),
        ("cp437", ["Bär", "Löwe"], False),
        ("cp1252", ["Bär", "Löwe"], False),
    ],
)
def test_names_in_zip_archives_of_all_countries(
    tmp_path: Path, encoding: str, classes: list[str], doubtful: bool
) -> None:
    names = [f"{name}/{number}.jpg".encode(encoding) for name in classes for number in range(2)]
    with open_source(write_zip(tmp_path / "a.zip", names)) as source:
        assert {entry.path.partition("/")[0] for entry in source.entries} == set(classes)
        assert all(load() == b"content" for load in source.loaders())
    assert bool(source.notes) == (encoding != "utf-8")
    assert ("doubtful" in "".join(source.notes)) >= doubtful


def test_names_in_zip_archives_that_say_their_encoding_are_no_matter_of_guessing(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "a.zip", ["猫/1.jpg".encode(), "狗/1.jpg".encode()], flag=True)
    with open_source(data) as source:
        assert [entry.path for entry in source.entries] == ["狗/1.jpg", "猫/1.jpg"]
    assert not source.notes


def test_a_backslash_within_a_letter_is_no_separator(tmp_path: Path) -> None:
    names = [f"{name}\\1.jpg".encode("cp932") for name in ("表情", "能力")]
    assert b"\\" in "表".encode("cp932")
    with open_source(write_zip(tmp_path / "a.zip", names)) as source:
        assert {entry.path for entry in source.entries} == {"表情/1.jpg", "能力/1.jpg"}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_class_folder_that_is_a_link_is_found_in_any_order_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for place in (data / "cats", data / "birds" / "small", elsewhere):
        place.mkdir(parents=True)
        (place / "1.jpg").write_bytes(b"content")
    (data / "a_link").symlink_to(data / "cats")
    (data / "zebras").symlink_to(elsewhere)
    (data / "dogs").symlink_to(elsewhere)
    (data / "aloft").symlink_to(data / "birds" / "small")
    scandir = os.scandir

    def scan(path: str) -> "os._ScandirIterator[str]":  # type: ignore[name-defined]
        class Listed(list):  # type: ignore[type-arg]
            def __enter__(self) -> "Listed":
                return self

            def __exit__(self, *error: object) -> None:
                pass

            def __next__(self) -> os.DirEntry[str]:
                if not self:
                    raise StopIteration
                return self.pop(0)

            def __iter__(self) -> "Listed":
                return self

        with scandir(path) as found:
            return Listed(sorted(found, key=lambda each: each.name, reverse=backwards))

    monkeypatch.setattr(os, "scandir", scan)
    assert folder.list_folder(data).files == ["birds/small/1.jpg", "cats/1.jpg", "dogs/1.jpg"]


def test_what_predict_writes_to_a_terminal_is_what_it_can_show(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    terminal = Terminal()
    terminal.write('{"file": "柴\u3000犬\x1b[31m\u202e.jpg"}\n'.encode())
    terminal.flush()
    assert capfdbinary.readouterr().out.decode() == '{"file": "柴\u3000犬\\x1b[31m\\u202e.jpg"}\n'


def test_classes_that_look_like_lists_of_classes_are_named() -> None:
    assert note_multi_label_names(["cat", "dog", "big|small", "Rock, Paper"]) == []
    (note,) = note_multi_label_names(["cat", "cat|outdoor", "dog", "dog; cat", "outdoor,dog"])
    assert "'cat|outdoor', 'dog; cat', 'outdoor,dog'" in note
