"""Groups that the user names: by a column, by folders, and by a part of the path."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.components.core.artifacts.dataset import (
    DatasetInfo,
    hash_user_group,
    read_columns,
    read_dataset_info,
    read_rows,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.group_names import unit_of
from headstart.components.download_dataset.step import DownloadSettings, download_dataset


def write_image(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (48, 48, 3)).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos of four patients, in folders of class and patient."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(12):
        name = ("benign", "malignant")[number % 2]
        write_image(folder / name / f"p{number // 3}" / f"scan_{number}.png", number)
    return folder


def rows_of(photos: Path) -> list[tuple[str, str, str]]:
    """Image, class and patient of each photo."""
    paths = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.png"))
    return [(path, path.split("/")[0], path.split("/")[1]) for path in paths]


def write_manifest(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(data: Path, out: Path, **settings: str | int) -> DatasetInfo:
    reading = DownloadSettings(**settings)  # type: ignore[arg-type]
    return download_dataset([str(data)], out / "data", out / "page.html", reading)


def groups_of(out: Path) -> dict[str, str]:
    """Group that the user names, by the end of the image's path."""
    table = read_columns(out / "data", ["image.path", "user_group"])
    return {
        path.rpartition("/")[2]: group for path, group in zip(*(c.to_pylist() for c in table.columns), strict=True)
    }


def right(photos: Path) -> dict[str, str]:
    return {path.rpartition("/")[2]: patient for path, _, patient in rows_of(photos)}


def test_every_source_of_groups_gives_the_same(
    photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(photos)
    manifest = write_manifest(photos / "group.csv", ["image", "label", "group"], rows)
    assert read(manifest, tmp_path / "column").grouping == "group"
    assert "share a value of the column 'group' stay in one split" in logged.text
    named = write_manifest(photos / "patients.csv", ["image", "label", "Patient ID"], rows)
    info = read(named, tmp_path / "named", group_column="patient_id")
    assert info.grouping == "patient" and info.extra == ["Patient ID"]
    lines = photos / "lines.jsonl"
    lines.write_text("\n".join(json.dumps({"image": i, "label": c, "group": p}) for i, c, p in rows))
    read(lines, tmp_path / "lines")
    table = photos / "images.parquet"
    columns = {"image": [(photos / i).read_bytes() for i, _, _ in rows], "label": [c for _, c, _ in rows]}
    names = [Path(path).name for path, _, _ in rows]
    columns["image"] = [{"bytes": b, "path": n} for b, n in zip(columns["image"], names, strict=True)]  # type: ignore[misc]
    pq.write_table(pa.table(columns | {"group": [p for _, _, p in rows]}), table)
    read(table, tmp_path / "parquet")
    for path in (manifest, named, lines, table):
        path.unlink()
    assert read(photos, tmp_path / "parent", group_from="parent", class_level=1).grouping == "group"
    assert read(photos, tmp_path / "regex", group_from=r"/(?P<patient>p\d+)/", class_level=1).grouping == "patient"
    for place in ("column", "named", "lines", "parquet", "parent", "regex"):
        assert groups_of(tmp_path / place) == right(photos), place
    # An artifact of ours is data as well.
    again = download_dataset([str(tmp_path / "named" / "data")], tmp_path / "again" / "data", tmp_path / "page.html")
    assert again.grouping == "group" and groups_of(tmp_path / "again") == right(photos)


def test_rows_have_hashed_names_and_near_duplicates_join(
    photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    copies = tmp_path / "copies"
    for path, name, patient in rows_of(photos):
        target = copies / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((photos / path).read_bytes())
        if patient == "p0" and name == "benign":
            # The same photo under another patient is dropped, and joins the two all the same.
            twin = copies / "benign" / "p9" / Path(path).name
            twin.parent.mkdir(exist_ok=True)
            twin.write_bytes(target.read_bytes())
    write_image(copies / "benign" / "p9" / "own.png", 99)
    read(copies, tmp_path, group_from="parent")
    rows = list(read_rows(tmp_path / "data"))
    group = {row.user_group: row.group for row in rows}
    assert group["p0"] == group["p9"] == min(map(hash_user_group, ("p0", "p9")))
    assert {name: group[name] for name in ("p1", "p2", "p3")} == {n: hash_user_group(n) for n in ("p1", "p2", "p3")}
    assert "near-duplicates join 2 groups to 1, such as p0, p9" in logged.text
    assert {row.near_duplicates for row in rows} == {row.id for row in rows}


def test_images_without_a_group_are_alone_and_counted(
    photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    rows = [(image, name, patient if patient != "p3" else "") for image, name, patient in rows_of(photos)]
    manifest = write_manifest(photos / "some.csv", ["image", "label", "patient"], rows)
    read(manifest, tmp_path, group_column="patient")
    manifest.unlink()
    assert "3 of 12 files have no group by the column 'patient', such as" in logged.text
    alone = [row for row in read_rows(tmp_path / "data") if not row.user_group]
    assert len(alone) == 3 and all(row.group == row.id for row in alone)


def test_data_without_groups_are_as_ever(photos: Path, tmp_path: Path) -> None:
    assert read(photos, tmp_path, class_level=1).grouping == ""
    assert "user_group" not in read_columns(tmp_path / "data", ["id"]).column_names
    assert (
        "user_group" not in pq.read_schema(tmp_path / "data" / read_dataset_info(tmp_path / "data").shards[0]).names
    )


def test_column_group_of_one_value_is_not_read(
    photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    manifest = write_manifest(
        photos / "one.csv", ["image", "label", "group"], [(*r[:2], "all") for r in rows_of(photos)]
    )
    assert read(manifest, tmp_path).grouping == ""
    manifest.unlink()
    assert "column 'group' has one value for all images, and is not read as groups" in logged.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_from": "p0"}, r"group_from 'p0' captures nothing; put the part .* into parentheses"),
        ({"group_from": "(p"}, r"group_from '\(p' is no regular expression \(missing \)"),
        ({"group_from": "(site)"}, r"matches none of 12 files of data '.*', such as 'benign/p0/scan_0.png'; correct"),
        (
            {"group_column": "patient"},
            r"group_column 'patient': data '.*' give no image a value of that column; pass",
        ),
        ({"group_column": "a", "group_from": "(b)"}, "exclude one another; give one of them"),
    ],
)
def test_bad_rules_are_refused(photos: Path, tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        read(photos, tmp_path, **settings, class_level=1)


def test_rule_that_matches_some_files_says_how_many(
    photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    read(photos, tmp_path, group_from="(p[012])", class_level=1)
    assert "3 of 12 files have no group by the path, by '(p[012])', such as 'benign/p3/scan_10.png'" in logged.text


def test_missing_column_and_folders_are_named_with_the_way_out(photos: Path, tmp_path: Path) -> None:
    manifest = write_manifest(photos / "named.csv", ["image", "label", "patient"], rows_of(photos))
    with pytest.raises(HeadstartError, match=r"has no column 'patiant'.*did you mean 'patient'\?"):
        read(manifest, tmp_path, group_column="patiant")
    manifest.unlink()
    flat = tmp_path / "flat"
    for number in range(4):
        write_image(flat / ("cat", "dog")[number % 2] / f"{number}.png", number)
    with pytest.raises(HeadstartError, match=r"no file of data '.*' lies in a folder below that of its class"):
        read(flat, tmp_path, group_from="parent")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "1.0", "2", "2"], "the groups '1' and '1.0', which are one number"),
        ([["a"], ["b"], ["c"], ["d"]], "is no"),
    ],
)
def test_groups_that_are_no_names_are_refused(tmp_path: Path, values: list[object], message: str) -> None:
    for number in range(4):
        write_image(tmp_path / f"{number}.png", number)
    lines = [{"image": f"{n}.png", "label": "ab"[n % 2], "group": value} for n, value in enumerate(values)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(HeadstartError, match=message):
        read(tmp_path / "m.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("column", "unit"),
    [("patient", "patient"), ("Patient ID", "patient"), ("camera-nr", "camera"), ("id", "group"), ("x1", "group")],
)
def test_unit_is_the_columns_word(column: str, unit: str) -> None:
    assert unit_of(column) == unit
