"""Folders and archives in which tables, samples, archives or columns give the classes of the images."""

import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.hostile import encode_image, make_image
from support.servers import serve_folder

from headstart.components.core.artifacts.dataset import read_dataset_info, read_rows
from headstart.components.core.sources import Entry, SourceOptions, open_source
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset

CONTENTS = {f"{label}{number}.jpg": f"{label}{number}".encode() for label in ("cat", "dog") for number in range(1, 5)}
TABLE = "image,label\n" + "".join(f"{name},{name[:3]}\n" for name in CONTENTS)


def pack(path: Path, files: dict[str, bytes | str]) -> Path:
    """A folder, or by its name a zip or tar archive, of files."""
    bytes_of = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in bytes_of.items():
                archive.writestr(name, content)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as archive:
            for name, content in bytes_of.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        for name, content in bytes_of.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def read(data: Path | str, **reading: str) -> list[tuple[Entry, bytes]]:
    with open_source(str(data), options=SourceOptions(**reading)) as source:
        return [(entry, load()) for entry, load in zip(source.entries, source.loaders(), strict=True)]


def labels_by_content(data: Path | str, **reading: str) -> dict[str, str]:
    """Class of each image by its content."""
    return {content.decode(): entry.label for entry, content in read(data, **reading)}


def splits(data: Path | str) -> Counter[tuple[str, str]]:
    return Counter((entry.split, entry.label) for entry, _ in read(data))


RIGHT = {content.decode(): name[:3] for name, content in CONTENTS.items()}


@pytest.mark.parametrize("kind", ["folder", "pets.zip", "pets.tar"])
@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("labels.csv", "images"),
        ("metadata.csv", "images"),
        ("train.tsv", "train_images"),
        ("anything.csv", "x/images"),
    ],
)
def test_a_table_among_the_images_gives_their_classes(tmp_path: Path, kind: str, name: str, inside: str) -> None:
    table = TABLE.replace(",", "\t") if name.endswith(".tsv") else TABLE
    files = {f"{inside}/{each}": content for each, content in CONTENTS.items()}
    more: dict[str, bytes | str] = {name: table, f"{inside}/extra.jpg": b"not listed", "sample_submission.csv": TABLE}
    data = pack(tmp_path / kind, files | more)
    assert labels_by_content(data) == RIGHT
    with open_source(str(data)) as source:
        assert source.ignored == 3


def test_tables_of_splits_beside_their_images(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {}
    for split in ("train", "test"):
        files |= {f"{split}/{name}": split.encode() + content for name, content in CONTENTS.items()}
        rows = [json.dumps({"file_name": name, "label": name[:3]}) for name in CONTENTS]
        files[f"{split}/metadata.jsonl"] = "\n".join(rows)
    for data in (pack(tmp_path / "folder", files), pack(tmp_path / "a.zip", files)):
        assert labels_by_content(data) == {
            f"{split}{text}": label for split in ("train", "test") for text, label in RIGHT.items()
        }
    flat: dict[str, bytes | str] = {f"images/{name}": content for name, content in CONTENTS.items()}
    lines = TABLE.splitlines(keepends=True)
    flat |= {"train.csv": "".join(lines[:4] + lines[5:8]), "val.csv": lines[0] + lines[4] + lines[8]}
    assert splits(pack(tmp_path / "flat.zip", flat)) == {
        ("train", "cat"): 3, ("train", "dog"): 3, ("validation", "cat"): 1, ("validation", "dog"): 1
    }  # fmt: skip


def test_a_table_of_one_split_means_the_images_of_that_split(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"train_images/{name}": content for name, content in CONTENTS.items()}
    files |= {f"test_images/{name}": b"of the test" for name in CONTENTS}
    names = [Path(name).stem for name in CONTENTS]
    files["train.csv"] = "image_id,label\n" + "".join(f"{name},{name[:3]}\n" for name in names)
    files["test.csv"] = "image_id\n" + "".join(f"{name}\n" for name in names)
    assert labels_by_content(pack(tmp_path / "kaggle", files)) == RIGHT
    assert labels_by_content(tmp_path / "kaggle" / "train.csv") == RIGHT


def test_table_and_folders_that_differ_are_a_question(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"{name[-5]}/{name}": content for name, content in CONTENTS.items()}
    data = pack(tmp_path / "pets", files | {"labels.csv": TABLE})
    message = (
        r"labels.csv gives 2 classes \(cat, dog\) for 8 images, and they lie in 4 folders \(1, 2, 3, …\); "
        "pass labels 'given' for the table or 'folders' for the folders"
    )
    with pytest.raises(HeadstartError, match=message):
        read(data)
    assert labels_by_content(data, labels="given") == RIGHT
    assert set(labels_by_content(data, labels="folders").values()) == {""}
    agreeing: dict[str, bytes | str] = {f"{name[:3]}/{name}": content for name, content in CONTENTS.items()}
    assert labels_by_content(pack(tmp_path / "agreeing", agreeing | {"labels.csv": TABLE})) == RIGHT


def test_tables_that_contradict_each_other_or_themselves(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"images/{name}": content for name, content in CONTENTS.items()}
    other = TABLE.replace("cat1.jpg,cat", "cat1.jpg,dog")
    with pytest.raises(HeadstartError, match=r"cat1.jpg is '(cat|dog)' by (a|b).csv and '(cat|dog)' by (a|b).csv"):
        read(pack(tmp_path / "two", files | {"a.csv": TABLE, "b.csv": other}))
    with open_source(str(pack(tmp_path / "one", files | {"a.csv": TABLE + "cat1.jpg,dog\n"}))) as source:
        assert [(each.file, each.reason) for each in source.unusable] == [("images/cat1.jpg", "conflict")]


@pytest.mark.parametrize("told_by", ["cls", "json"])
@pytest.mark.parametrize("shards", [1, 3])
def test_samples_of_webdataset(tmp_path: Path, told_by: str, shards: int) -> None:
    for shard in range(shards):
        files: dict[str, bytes | str] = {}
        for number, (name, content) in enumerate(list(CONTENTS.items())[shard::shards]):
            label = name[:3]
            files |= {f"{shard}{number:05}.jpg": content, f"{shard}{number:05}.json": json.dumps({"label": label})}
            if told_by == "cls":
                files |= {f"{shard}{number:05}.cls": label, f"{shard}{number:05}.json": "{}"}
        (tmp_path / "shards").mkdir(exist_ok=True)
        pack(tmp_path / "shards" / f"pets-{shard:06}.tar", files)
    data = tmp_path / "shards" if shards > 1 else tmp_path / "shards" / "pets-000000.tar"
    assert labels_by_content(data) == RIGHT


@pytest.mark.parametrize("kind", ["folder", "outer.zip", "outer.tar"])
def test_archives_in_an_archive(tmp_path: Path, kind: str) -> None:
    named: dict[str, bytes | str] = {f"train/{name[:3]}.{name[3]}.jpg": content for name, content in CONTENTS.items()}
    train = pack(tmp_path / "train.zip", named)
    test = pack(tmp_path / "test1.zip", {"1.jpg": b"a test", "2.jpg": b"another"})
    outer = {
        "train.zip": train.read_bytes(),
        "test1.zip": test.read_bytes(),
        "sampleSubmission.csv": b"id,label\n1,0\n",
    }
    found = {entry.path: content for entry, content in read(pack(tmp_path / kind, outer))}
    assert found == named | {"test1/1.jpg": b"a test", "test1/2.jpg": b"another"}


def test_archives_are_opened_two_deep(tmp_path: Path) -> None:
    inner = pack(tmp_path / "train.zip", {f"{name[:3]}/{name}": content for name, content in CONTENTS.items()})
    middle = pack(tmp_path / "dogs-vs-cats.zip", {"train.zip": inner.read_bytes()})
    outer = pack(tmp_path / "folder", {"dogs-vs-cats.zip": middle.read_bytes()})
    paths = {entry.path for entry, _ in read(outer)}
    assert paths == {f"dogs-vs-cats/train/{name[:3]}/{name}" for name in CONTENTS}
    whole = pack(tmp_path / "all.zip", {"dogs-vs-cats.zip": middle.read_bytes()})
    with pytest.raises(HeadstartError, match="archives in archives in archives; unpack the outer ones"):
        read(pack(tmp_path / "deep", {"all.zip": whole.read_bytes()}))


def test_what_lies_beside_images_is_counted(tmp_path: Path) -> None:
    endings = (".jpg.json", ".AAE", ".MOV", ".xml", ".txt")
    files: dict[str, bytes | str] = {f"{name[:3]}/{name}": content for name, content in CONTENTS.items()}
    beside = {f"cat/cat1{ending}": b"x" for ending in endings}
    for kind in ("folder", "pets.zip", "pets.tar"):
        with open_source(str(pack(tmp_path / kind, files | beside))) as source:
            assert len(source.entries) == len(CONTENTS)
            assert source.ignored == len(beside)


def write_parquet(path: Path, columns: dict[str, object], features: dict[str, object] | None = None) -> Path:
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


IMAGES = list(CONTENTS.values())
LABELS = [name[:3] for name in CONTENTS]


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        [[label] for label in LABELS],
        pa.array(LABELS).dictionary_encode(),
        [label.encode() for label in LABELS],
        [f"{label} " for label in LABELS],
    ],
    ids=["text", "lists of one", "category", "bytes", "blanks"],
)
def test_labels_of_parquet(tmp_path: Path, labels: object) -> None:
    assert labels_by_content(write_parquet(tmp_path / "a.parquet", {"image": IMAGES, "label": labels})) == RIGHT


def test_class_labels_of_parquet_have_names(tmp_path: Path) -> None:
    numbers = [LABELS.index(label) // 4 for label in LABELS]
    feature = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    images = [{"bytes": each, "path": None} for each in IMAGES]
    features = {"img": {"_type": "Image"}, "fine": feature, "coarse": feature}
    one = write_parquet(tmp_path / "one.parquet", {"img": images, "fine": numbers}, features)
    assert labels_by_content(one) == RIGHT
    lists = {"img": {"_type": "Image"}, "fine": {"_type": "Sequence", "feature": feature}}
    listed = write_parquet(tmp_path / "lists.parquet", {"img": images, "fine": [[each] for each in numbers]}, lists)
    assert labels_by_content(listed) == RIGHT
    two = write_parquet(tmp_path / "two.parquet", {"img": images, "fine": numbers, "coarse": numbers[::-1]}, features)
    with pytest.raises(HeadstartError, match="'fine' or 'coarse'; say which with label_column"):
        read(two)
    assert labels_by_content(two, label_column="fine") == RIGHT
    assert labels_by_content(two, label_column="coarse") != RIGHT


def test_parquet_that_names_images_beside_it(tmp_path: Path) -> None:
    pack(tmp_path / "images", dict(CONTENTS))
    paths = [f"images/{name}" for name in CONTENTS]
    structs = pa.array(
        [{"bytes": None, "path": path} for path in paths], pa.struct([("bytes", pa.null()), ("path", pa.string())])
    )
    for images in (paths, structs, pa.array(paths).dictionary_encode()):
        data = write_parquet(tmp_path / "data.parquet", {"image": images, "label": LABELS})
        assert labels_by_content(data) == RIGHT
        assert labels_by_content(tmp_path) == RIGHT
    with serve_folder(tmp_path) as address:
        assert labels_by_content(f"{address}/data.parquet") == RIGHT


def test_parquet_of_metadata_lies_beside_the_images_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pack(tmp_path / split, {name: split.encode() + content for name, content in CONTENTS.items()})
        write_parquet(tmp_path / split / "metadata.parquet", {"file_name": list(CONTENTS), "label": LABELS})
    assert labels_by_content(tmp_path) == {
        f"{split}{text}": label for split in ("train", "test") for text, label in RIGHT.items()
    }
    assert splits(tmp_path)["test", "cat"] == 4


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "validation.parquet", "test.parquet"),
        ("data/train-00000-of-00001.parquet", "data/val-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("train/0000.parquet", "dev/0000.parquet", "test/0000.parquet"),
        ("pets_train.parquet", "pets_valid.parquet", "pets_testing.parquet"),
    ],
)
def test_splits_of_parquet_files_are_those_of_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write_parquet(tmp_path / "pets" / name, {"image": IMAGES, "label": LABELS})
    # A clone of the hub has a card, and images in it.
    pack(
        tmp_path / "pets",
        {"README.md": "# Pets", "assets/card.png": b"an image", "assets/more/card.png": b"another"},
    )
    every = {(split, label): 4 for split in ("train", "validation", "test") for label in ("cat", "dog")}
    assert splits(tmp_path / "pets") == every
    archive = {name: (tmp_path / "pets" / name).read_bytes() for name in names}
    assert splits(pack(tmp_path / "pets.zip", archive)) == every


def test_images_and_parquet_that_could_both_be_meant_are_a_question(tmp_path: Path) -> None:
    pack(tmp_path, {f"{name[:3]}/{name}": content for name, content in CONTENTS.items()})
    write_parquet(tmp_path / "embeddings.parquet", {"image": IMAGES[:2], "label": ["cat", "dog"]})
    with pytest.raises(
        HeadstartError, match=r"8 images in folders, and embeddings\.parquet, which may hold or name some"
    ):
        read(tmp_path)
    assert len(read(tmp_path, labels="folders")) == 9
    assert len(read(tmp_path, labels="given")) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_what_datasets_has_saved_to_disk_is_read(tmp_path: Path, whole: bool) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {
        "image": [{"bytes": encode_image(make_image(seed)), "path": None} for seed in range(8)],
        "label": [seed % 2 for seed in range(8)],
    }
    saved = datasets.Dataset.from_dict(rows, features=features)
    data = tmp_path / "saved"
    if whole:
        datasets.DatasetDict({"train": saved, "test": saved.select(range(2))}).save_to_disk(str(data))
        (data / "train" / "cache-1.arrow").write_bytes(b"no data")
    else:
        saved.save_to_disk(str(data))
    found = read(data)
    assert [content for _, content in found[-8:]] == [row["bytes"] for row in rows["image"]]
    assert Counter(entry.label for entry, _ in found) == ({"cat": 5, "dog": 5} if whole else {"cat": 4, "dog": 4})
    if whole:
        assert Counter(entry.split for entry, _ in found) == {"train": 8, "test": 2}


def test_a_table_in_a_zip_becomes_a_dataset(tmp_path: Path) -> None:
    names = [f"{seed}.jpg" for seed in range(6)]
    files: dict[str, bytes | str] = {
        f"images/{name}": encode_image(make_image(seed)) for seed, name in enumerate(names)
    }
    rows = "".join(f"{name};{('cat', 'dog')[seed % 2]};{seed % 3}\n" for seed, name in enumerate(names))
    data = pack(tmp_path / "pets.zip", files | {"labels.csv": f"Filename;Species;site\n{rows}"})
    download_dataset([str(data)], tmp_path / "out", tmp_path / "page.html", DownloadSettings(label_column="species"))
    info = read_dataset_info(tmp_path / "out")
    assert (info.classes, info.counts, info.extra) == (["cat", "dog"], [3, 3], ["site"])
    assert np.unique([row.extra[0] for row in read_rows(tmp_path / "out")]).tolist() == ["0", "1", "2"]


def test_a_column_that_is_asked_for_is_never_passed_over(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"{name[:3]}/{name}": content for name, content in CONTENTS.items()}
    data = pack(tmp_path / "pets", files | {"labels.csv": TABLE.replace("label", "breed")})
    assert set(labels_by_content(data).values()) == {""}, "the table lacks a label, and the folders give classes"
    with pytest.raises(
        HeadstartError, match="no column 'bread', which label_column names; its columns are image, breed"
    ):
        read(data, label_column="bread")
    assert labels_by_content(data, label_column="breed") == RIGHT
    with pytest.raises(HeadstartError, match=r"of 8 images that list\.csv names, 0 are there"):
        read(pack(tmp_path / "other", {"1.jpg": b"", "list.csv": TABLE}), labels="given")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pets.npz": b"x"}, r"holds pets\.npz, .* kind \.npz file; write each image to a file"),
        ({"a/pets.tfrecord": b"x", "README.md": b"x"}, r"holds a/pets\.tfrecord"),
        ({"a/pets.tfrecord-00000-of-00002": b"x", "README.md": b"x"}, r"holds a/pets\.tfrecord-00000-of-00002"),
        ({"images/1.jpg": b"1", "images/2.jpg": b"2", "labels.xlsx": b"x"}, r"labels\.xlsx, .*save the sheet as CSV"),
        ({"data/train.parquet": b"version https://git-lfs.github.com/spec/v1\n"}, "run `git lfs pull`"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "pets.zip"])
def test_what_is_not_read_is_named(tmp_path: Path, files: dict[str, bytes | str], message: str, kind: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        read(pack(tmp_path / kind, files))


def test_arrow_files_are_read(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGES, "label": LABELS})
    for name, new in (("file.arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
        with new(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
        assert labels_by_content(tmp_path / name) == RIGHT
