import csv
from pathlib import Path
from typing import Any

import pytest

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info, read_rows
from headstart.components.core.sources.corrections import read_corrections
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset


def written(path: Path, *rows: tuple[str, ...]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_corrected_images_change_class_and_others_stay(pictures: Path, dataset: Path, tmp_path: Path) -> None:
    before = list(read_rows(dataset))
    wrong, gone = before[0], before[-1]
    names = read_dataset_info(dataset).classes
    other = names[1 - wrong.label]
    file = written(
        tmp_path / "c.csv", ("id", "label", "note"), (wrong.id, other, "x"), (gone.id, "", ""), ("ff" * 16, "cat", "")
    )
    download_dataset([str(pictures)], tmp_path / "data", tmp_path / "data.html", DownloadSettings(corrections=file))
    after = {row.id: row for row in read_rows(tmp_path / "data")}
    assert gone.id not in after
    assert names[after[wrong.id].label] == other
    assert all(after[row.id].label == row.label for row in before[1:-1])
    quarantine = (tmp_path / "data" / "quarantine.csv").read_text()
    assert f"{gone.path},corrected,the corrections leave it out" in quarantine


def test_images_that_the_corrections_leave_out_are_no_bad_files(
    pictures: Path, dataset: Path, tmp_path: Path
) -> None:
    rows = list(read_rows(dataset))
    file = written(tmp_path / "c.csv", ("id", "label"), *((row.id, "") for row in rows[::2]))
    data, out, page = [str(pictures)], tmp_path / "data", tmp_path / "data.html"
    assert download_dataset(data, out, page, DownloadSettings(corrections=file)).images == len(rows) // 2
    with pytest.raises(HeadstartError, match=r"more than 1% of 125 files cannot be used: (?!.*corrected)"):
        download_dataset(data, out, page, DownloadSettings(corrections=file, max_bad_fraction=0.01))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("label",), ("cat",)], "lack the column id"),
        ([("id", "label"), ("a", "wolf")], "call image a 'wolf'; the classes are cat, dog"),
        ([("id", "label"), ("a", "cat"), ("a", "dog")], "call image a both 'cat' and 'dog'; keep one"),
    ],
)
def test_wrong_corrections_are_refused(rows: list[tuple[str, ...]], message: str, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=message):
        read_corrections(written(tmp_path / "c.csv", *rows), ["cat", "dog"])


SUGGESTIONS = [
    ("id", "label", "given", "suggested", "confidence"),
    ("a", "cat", "cat", "dog", "0.95"),
    ("b", "cat", "cat", "dog", "0.40"),
    ("c", "dog", "dog", "cat", "0.90"),
    ("mine", "dog", "cat", "owl", "0.99"),
    ("out", "", "cat", "dog", "0.99"),
    ("added", "owl", "", "", ""),
]
CLASSES = ["cat", "dog", "owl"]


def test_suggestions_are_no_corrections(tmp_path: Path) -> None:
    found = read_corrections(written(tmp_path / "c.csv", *SUGGESTIONS), CLASSES)
    assert found.classes == {row[0]: row[1] for row in SUGGESTIONS[1:]} and found.accepted == {}


def test_suggestions_are_accepted_where_nobody_changed_the_label(tmp_path: Path) -> None:
    found = read_corrections(written(tmp_path / "c.csv", *SUGGESTIONS), CLASSES, accept_suggestions=0.9)
    assert found.accepted == {"a": 0.95, "c": 0.9}
    assert found.classes == {row[0]: row[1] for row in SUGGESTIONS[1:]} | {"a": "dog", "c": "cat"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("id", "label", "given"), ("a", "cat", "cat")], "lack the column suggested and confidence, so no"),
        ([*SUGGESTIONS, ("x", "cat", "cat", "dog", "0,95")], "confidence '0,95' for image x; write a number"),
        ([*SUGGESTIONS, ("x", "cat", "cat", "dog", "nan")], "have the confidence 'nan'"),
        ([*SUGGESTIONS, ("x", "cat", "cat", "wolf", "0.95")], "call image x 'wolf'; the classes are"),
    ],
)
def test_suggestions_that_cannot_be_accepted_are_named(
    rows: list[tuple[str, ...]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(HeadstartError, match=message):
        read_corrections(written(tmp_path / "c.csv", *rows), CLASSES, accept_suggestions=0.9)


def test_run_says_how_many_suggestions_it_takes_and_how_many_may_be_wrong(
    pictures: Path, dataset: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    before = {row.id: ("cat", "dog")[row.label] for row in read_rows(dataset)}
    other = {"cat": "dog", "dog": "cat"}
    rows = [
        (each, name, name, other[name], confidence)
        for (each, name), confidence in zip(before.items(), ("0.9", "0.8", "0.6"), strict=False)
    ]
    rows.append(("ff" * 16, "cat", "cat", "dog", "1.0"))
    file = written(tmp_path / "c.csv", SUGGESTIONS[0], *rows)
    out, page = tmp_path / "data", tmp_path / "data.html"
    settings = DownloadSettings(corrections=file, accept_suggestions=0.8)
    download_dataset([str(pictures)], out, page, settings)
    after = {row.id: ("cat", "dog")[row.label] for row in read_rows(out)}
    assert {each for each in after if after[each] != before[each]} == {rows[0][0], rows[1][0]}
    said = "labels changed to their suggested classes, unread: 2 (confidence 0.8 or more); expected to be wrong: 0.3"
    assert said in logged.text and said in page.read_text()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"corrections": "c.csv", "accept_suggestions": 1.5}, "accept_suggestions 1.5: give a confidence"),
        ({"accept_suggestions": 0.9}, "accept_suggestions needs corrections"),
    ],
)
def test_accepting_needs_a_confidence_and_corrections(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        DownloadSettings(**values)


def test_labels_that_an_earlier_version_changed_are_corrections(tmp_path: Path) -> None:
    rows = [("id", "label", "given", "suggested"), ("a", "dog", "cat", "dog"), ("b", "cat", "cat", "dog")]
    found = read_corrections(written(tmp_path / "c.csv", *rows), CLASSES)
    assert found.classes == {"a": "dog", "b": "cat"} and found.accepted == {}


def test_corrections_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"none\.csv' cannot be read"):
        read_corrections(str(tmp_path / "none.csv"), ["cat", "dog"])
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HeadstartError, match="are not CSV in UTF-8"):
        read_corrections(str(tmp_path / "c.csv"), ["cat", "dog"])


def test_further_columns_of_a_manifest_go_along_with_the_pictures(pictures: Path, tmp_path: Path) -> None:
    rows = [("image", "label", "site", "width", "path")]
    rows += [
        (str(pictures / f"{label}.{number}.jpg"), label, ("north", "")[number % 2], "7", "x")
        for label in ("cat", "dog")
        for number in range(1, 21)
    ]
    manifest = written(tmp_path / "pets.csv", *rows)
    download_dataset([manifest], tmp_path / "data", tmp_path / "data.html")
    folders = {name: tmp_path / name for name in ("train", "validation", "test")}
    split_dataset(tmp_path / "data", **folders, settings=SplitSettings(SplitSizes([10, 4, 4], [])))
    assert read_dataset_info(folders["test"]).extra == ["site"], "width and path are columns of our own"
    table = read_columns(folders["test"], ["site", "image.path"])
    for site, path in zip(table["site"].to_pylist(), table["image.path"].to_pylist(), strict=True):
        assert site == ("north", "")[int(Path(path).stem.split(".")[1]) % 2]


def test_summary_of_the_hygiene_goes_along_with_the_test_images(dataset: Path, splits: dict[str, Path]) -> None:
    text = (dataset / "hygiene.json").read_text()
    assert '"files": 125' in text
    assert {name for name, folder in splits.items() if (folder / "hygiene.json").exists()} == {"test"}
    assert (splits["test"] / "hygiene.json").read_text() == text
