"""Tables of images in all usual formats."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.components.core.sources import SourceOptions, Unreadable, open_source
from headstart.components.core.sources.columns import parse_label
from headstart.components.core.sources.tables import Row, read_table
from headstart.components.core.util.errors import HeadstartError

TWO = [("pics/cat 1.jpg", "cat"), ("pics/dog 1.jpg", "dog")]


def read(name: str, content: str | bytes, **reading: str) -> list[tuple[str, str, str]]:
    data = content if isinstance(content, bytes) else content.encode()
    return [(row.image, row.label, row.split) for row in read_table(name, data, SourceOptions(**reading))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", "image,label\npics/cat 1.jpg,cat\npics/dog 1.jpg,dog\n"),
        ("quotes.csv", '"image","label"\n"pics/cat 1.jpg","cat"\n"pics/dog 1.jpg","dog"\n'),
        ("semicolon.csv", "\ufeffimage;label\npics/cat 1.jpg;cat\npics/dog 1.jpg;dog\n"),
        ("excel.csv", "sep=;\r\nimage;label\r\npics/cat 1.jpg;cat\r\npics/dog 1.jpg;dog\r\n"),
        ("tab.tsv", "image\tlabel\npics/cat 1.jpg\tcat\npics/dog 1.jpg\tdog\n"),
        ("tab.csv", "image\tlabel\npics/cat 1.jpg\tcat\npics/dog 1.jpg\tdog\n"),
        ("bar.csv", "image|label\npics/cat 1.jpg|cat\npics/dog 1.jpg|dog\n"),
        ("blanks.csv", " Image , Label \npics/cat 1.jpg , cat\n pics/dog 1.jpg, dog \n\n,\n"),
        ("returns.csv", "image,label\rpics/cat 1.jpg,cat\rpics/dog 1.jpg,dog"),
        ("index.csv", ",image,label\n0,pics/cat 1.jpg,cat\n1,pics/dog 1.jpg,dog\n"),
        ("other names.csv", "file_name,Class\npics/cat 1.jpg,cat\npics/dog 1.jpg,dog\n"),
        ("no header.csv", "pics/cat 1.jpg,cat\npics/dog 1.jpg,dog\n"),
        ("blank.txt", "pics/cat 1.jpg cat\npics/dog 1.jpg dog\n"),
        ("hot.csv", "filename,cat,dog\npics/cat 1.jpg,1,0\npics/dog 1.jpg,0,1\n"),
        ("hot.csv", "image;cat;dog\npics/cat 1.jpg;1.0;0.0\npics/dog 1.jpg;0.0;1.0\n"),
        ("list.json", json.dumps([{"image": image, "label": label} for image, label in TWO])),
        ("lines.jsonl", "\n".join(json.dumps({"Image": image, "label": [f"{label} "]}) for image, label in TWO)),
        ("hub.jsonl", "\n".join(json.dumps({"file_name": image, "label": label}) for image, label in TWO)),
        (
            "vertex.jsonl",
            "\n".join(
                json.dumps({"imageGcsUri": image, "classificationAnnotation": {"displayName": label}})
                for image, label in TWO
            ),
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_form_gives_the_same_rows(name: str, content: str, encoding: str) -> None:
    assert read(name, content.encode(encoding)) == [(*row, "") for row in TWO]


def test_splits_of_vertex_ai_are_read() -> None:
    lines = "TRAIN,a.jpg,cat\nVALIDATION,b.jpg,dog\nTEST,c.jpg,cat\nUNASSIGNED,d.jpg,dog\n,\n"
    assert [row[2] for row in read("vertex.csv", lines)] == ["train", "validation", "test", ""]
    use = {"aiplatform.googleapis.com/ml_use": "training"}
    row = {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}]}
    assert read("v.jsonl", json.dumps(row | {"dataItemResourceLabels": use})) == [("gs://b/a.jpg", "cat", "train")]


def test_further_columns_go_along() -> None:
    (row,) = read_table("a.csv", b"image,label,split, site ,id\nx.jpg,cat,Test,north,7\n", SourceOptions())
    assert row == Row("x.jpg", "cat", "test", {"site": "north"})


def test_columns_are_taken_that_are_asked_for() -> None:
    content = "photo,species,label\nx.jpg,cat,7\n"
    assert read("a.csv", content, image_column="photo", label_column="Species") == [("x.jpg", "cat", "")]
    with pytest.raises(HeadstartError, match="no column 'breed', which label_column names; its columns are photo"):
        read("a.csv", content, label_column="breed")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "image,label,label\nx.jpg,cat,dog\n", "has the column 'label' twice"),
        ("a.csv", "image,label,Label\nx.jpg,cat,dog\n", "could be 'label' or 'Label'; say which with label_column"),
        (
            "a.csv",
            "file,filename,label\nx.jpg,y.jpg,cat\n",
            "could be 'file' or 'filename'; say which with image_column",
        ),
        ("a.csv", "image,kind\nx.jpg,cat\n", "has the columns image, kind; it lacks label: rename the column"),
        ("a.csv", "image,label\na, b.jpg,cat\n", "line 2 has 3 fields under 2 columns"),
        ("a.csv", "image,cat,dog\nx.jpg,1,0\ny.jpg,1,1\n", r"line 3: the label \['cat', 'dog'\] is no class"),
        ("a.csv", "TRAIN,x.jpg,cat,dog\n", "line 1: the label"),
        ("a.csv", "image,label\nx.jpg,1\ny.jpg,1.0\n", "'1' and '1.0', which are one number"),
        ("a.csv", "image,label,image.path\nx.jpg,cat,1\n", "'image.path', a name that the dataset uses itself"),
        ("a.csv", "image,label\nx.jpg,caf\xe9\n".encode("latin-1"), "is no UTF-8 text"),
        ("a.jsonl", '{"image": "x.jpg", "label": "cat", "label": "dog"}', "line 1 has the column 'label' twice"),
        ("a.jsonl", '{"image": ["x.jpg"], "label": "cat"}', "line 1: 'image' is no path or address but list"),
        ("a.jsonl", "[1, 2]", "element 1 has the columns"),
        ("a.json", '{"image": {"0": "x.jpg"}, "label": {"0": "cat"}}', "is no path or address but dict"),
        ("a.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_table_or_could_be_two_is_refused(name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        read(name, content)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("cat", "cat"),
        ("  cat ", "cat"),
        (7, "7"),
        (["cat"], "cat"),
        ([3], "3"),
        (None, ""),
        ([None], ""),
        (b"cat", "cat"),
    ],
)
def test_a_label_is_a_text_or_a_whole_number(value: object, label: str) -> None:
    assert parse_label(value, "row 1") == label


@pytest.mark.parametrize("value", [True, 0.0, 1.5, float("nan"), [], ["a", "b"], [["a"]], {"a": 1}, b"\xff", [True]])
def test_nothing_else_is_a_label(value: object) -> None:
    with pytest.raises(HeadstartError, match=r"row 1: the label .* is no class"):
        parse_label(value, "row 1")


def loaded(data: Path, reading: SourceOptions | None = None) -> dict[str, bytes | str]:
    with open_source(str(data), options=reading or SourceOptions()) as source:
        found: dict[str, bytes | str] = {}
        for entry, load in zip(source.entries, source.loaders(), strict=True):
            try:
                found[entry.path] = load()
            except Unreadable as error:
                found[entry.path] = f"{error.reason}: {error.detail}"
        return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    for name in ("a b", "c", "d"):
        (tmp_path / "pics" / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pics" / f"{name}.jpg").write_bytes(name.encode())
    (tmp_path / "pics" / "deep" / "c.jpg").write_bytes(b"deep c")
    (tmp_path / "pics" / "d.png").write_bytes(b"png d")

    def write(*images: str) -> Path:
        path = tmp_path / "list.jsonl"
        path.write_text("\n".join(json.dumps({"image": each, "label": "cat"}) for each in images))
        return path

    return write


def test_an_image_is_found_however_its_path_is_written(tmp_path: Path, write: Callable[..., Path]) -> None:
    names = [
        "pics/a b.jpg",
        "pics\\a b.jpg",
        r"C:\Users\me\pics\a b.jpg",
        "C:/Users/me/pics/a b.jpg",
        f"{tmp_path}/pics/a b.jpg",
        f"file://{tmp_path}/pics/a%20b.jpg",
        "pics/a b",
        "a b",
        "A B.JPG",
        "/elsewhere/pics/a b.jpg",
    ]
    assert set(loaded(write(*names)).values()) == {b"a b"}


def test_an_image_that_could_be_several_is_none(write: Callable[..., Path]) -> None:
    found = loaded(write("pics/c", "deep/c", "c", "pics/d", "nothing"))
    assert found["pics/c"] == b"c"
    assert found["deep/c"] == b"deep c"
    assert found["c"] == "missing: no such file; it could be pics/c.jpg or pics/deep/c.jpg"
    assert found["pics/d"] == "missing: no such file; it could be pics/d.jpg or pics/d.png"
    assert found["nothing"] == "missing: no such file"


def test_an_image_that_is_not_there_is_not_another_of_its_name(tmp_path: Path, write: Callable[..., Path]) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "5.jpg").write_bytes(b"a dog")
    found = loaded(write("cats/5.jpg", "C:\\data\\cats\\5.jpg", "../dogs/6.jpg", "data/dogs/5.jpg"))
    assert set(found.values()) == {"missing: no such file"}


@pytest.mark.parametrize("content", ["", "\n\n", "image,label\n"])
def test_a_table_without_rows_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(HeadstartError, match="it lists no image; write one a line"):
        loaded(tmp_path / "a.csv")


def test_utf_16_is_read_without_a_byte_order_mark() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert read("a.csv", "image;label\nx.jpg;Käfer\n".encode(encoding)) == [("x.jpg", "Käfer", "")]
