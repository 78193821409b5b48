"""Tables of pictures and their classes: CSV with any usual separator, JSON, JSON lines, Vertex AI's forms."""

import codecs
import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from headstart.components.core.sources.columns import (
    SPLIT,
    Reading,
    check_labels_are_no_numbers_twice,
    check_no_column_twice,
    column_of_images,
    column_of_labels,
    column_of_splits,
    extras,
    label_text,
    missing,
)
from headstart.components.core.sources.source import PICTURE_SUFFIXES, shown
from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

_SEPARATORS = ",;\t|"
_EXCEL_SEPARATOR = "sep="
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Vertex AI's import files begin a line with one of these.
_USES = {
    "TRAIN": "train",
    "TRAINING": "train",
    "VALIDATE": "validation",
    "VALIDATION": "validation",
    "TEST": "test",
    "UNASSIGNED": "",
}
_VERTEX_IMAGE = "imageGcsUri"
_VERTEX_ONE, _VERTEX_SEVERAL = "classificationAnnotation", "classificationAnnotations"
_VERTEX_LABELS, _VERTEX_USE = "dataItemResourceLabels", "aiplatform.googleapis.com/ml_use"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A picture as a table names it.

    Attributes:
        image: Path or address, as it stands there; empty: none.
        label: Its class; empty: none.
        split: Its ready-made split in lower case; empty: none.
        extra: What else the table says of it.
    """

    image: str
    label: str
    split: str
    extra: dict[str, str]


def is_table(name: str) -> bool:
    """Whether a file, which could be any text, is a table by its name."""
    return _suffix(name) in (*TEXT_SUFFIXES, *JSON_SUFFIXES)


def read_table(name: str, content: bytes, reading: Reading) -> list[Row]:
    """Reads a table of pictures.

    A text has a header with the columns `image` and `label` (or other usual names, in any case), and `split` if it
    likes; or none and lines of a picture and its class, as Vertex AI imports them, with the split in front. In place
    of a label there may be a column for each class with 1 for it and 0 for others. JSON is a list of objects, or one
    object a line, with the same names.

    Args:
        name: The file as it may be shown; its end says which of the two it is.
        content: Its bytes.
        reading: Which columns to take.

    Raises:
        HeadstartError: If it is no such table, lacks a column, has one twice, or a label is none.
    """
    where = f"manifest {name!r}"
    try:
        text = _decoded(content)
        rows = list((_json_rows if _suffix(name) in JSON_SUFFIXES else _text_rows)(where, text, reading))
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(
            f"{where} is no UTF-8 text with one picture a line ({error}); save the table as such"
        ) from None
    check_labels_are_no_numbers_twice((row.label for row in rows), where)
    return rows


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix


def _decoded(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\0" in content[:2]:
        # Every other byte of what is plain ASCII.
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    return content.decode()


def _text_rows(where: str, text: str, reading: Reading) -> Iterator[Row]:
    separator = ""
    if text[: len(_EXCEL_SEPARATOR)].lower() == _EXCEL_SEPARATOR:
        line, _, text = text.partition("\n")
        separator = line.strip()[len(_EXCEL_SEPARATOR) :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = separator or _separator(first, reading, where)
    lines = _split_at_blanks(text) if not separator else _split_at(text, separator)
    header = next(lines, (0, []))[1]
    if _is_header(header, reading, where):
        return _rows_with_header(where, header, lines, reading)
    return _rows_without_header(where, _split_at_blanks(text) if not separator else _split_at(text, separator))


def _separator(header: str, reading: Reading, where: str) -> str:
    """What stands between columns: that by which the header has known names, or else the most columns."""

    def rank(separator: str) -> tuple[bool, int]:
        fields = next(iter(_split_at(header, separator)), (0, []))[1]
        return len(fields) > 1 and _is_header(fields, reading, where), len(fields)

    best = max(_SEPARATORS, key=rank)
    return best if rank(best)[1] > 1 else ""


def _is_header(fields: list[str], reading: Reading, where: str) -> bool:
    if reading.image_column or reading.label_column:
        return True
    if any(_is_picture(field) for field in fields):
        return False
    return len(fields) > 1 or bool(fields and column_of_images(fields, reading, where))


def _is_picture(text: str) -> bool:
    return is_remote(text) or os.path.splitext(text.lower())[1] in PICTURE_SUFFIXES  # noqa: PTH122 - Windows' too


def _split_at(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that has any, fields without blanks at their ends."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    for row in rows:
        fields = [field.strip() for field in row]
        if any(fields):
            yield rows.line_num, fields


def _split_at_blanks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines of a path, which may have blanks in it, and a class, or of a path alone."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, [line.strip()] if _is_picture(line.strip()) else line.rsplit(maxsplit=1)


def _rows_with_header(
    where: str, header: list[str], lines: Iterator[tuple[int, list[str]]], reading: Reading
) -> Iterator[Row]:
    check_no_column_twice(header, where)
    image, label = column_of_images(header, reading, where), column_of_labels(header, reading, where)
    rows = [
        dict(zip(header, _padded(f"{where}, line {number}", fields, len(header)), strict=True)) | {"": str(number)}
        for number, fields in lines
    ]
    classes = _one_hot(where, header, image, rows) if image and not label and reading.labelled else []
    if not classes:
        missing(where, header, image, label, reading)
    split = column_of_splits(header)
    used = {image, label, split, *classes, ""}
    for row in rows:
        found = _hot(where, row, classes) if classes else shown(row[label]) if label else ""
        yield Row(row[image], found, row[split].lower() if split else "", extras(row, used, where))


def _padded(where: str, fields: list[str], columns: int) -> list[str]:
    if any(fields[columns:]):
        raise HeadstartError(
            f"{where} has {len(fields)} fields under {columns} columns; put a field with a separator in it in quotes"
        )
    return [*fields[:columns], *[""] * (columns - len(fields))]


def _one_hot(where: str, header: list[str], image: str, rows: list[dict[str, str]]) -> list[str]:
    """The columns that stand for a class each: all but those of picture and split, if they hold 0 and 1 alone."""
    others = [name for name in header if name and name not in (image, column_of_splits(header))]
    binary = [name for name in others if all(row[name] in ("0", "1", "0.0", "1.0", "") for row in rows)]
    return binary if rows and len(binary) > 1 and any(_hot_names(row, binary) for row in rows) else []


def _hot_names(row: dict[str, str], classes: Iterable[str]) -> list[str]:
    return [name for name in classes if row[name] in ("1", "1.0")]


def _hot(where: str, row: dict[str, str], classes: list[str]) -> str:
    found = _hot_names(row, classes)
    return label_text(found if found else None, f"{where}, line {row['']}")


def _rows_without_header(where: str, lines: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for number, fields in lines:
        use = _USES.get(fields[0].upper())
        rest = fields if use is None else fields[1:]
        if not rest or not (_is_picture(rest[0]) or use is not None):
            raise HeadstartError(
                f"{where} has the columns {', '.join(map(shown, fields))}; it lacks image and label: write a header "
                "with these names above them"
            )
        found = [field for field in rest[1:] if field]
        yield Row(rest[0], label_text(found or None, f"{where}, line {number}"), use or "", {})


def _json_rows(where: str, text: str, reading: Reading) -> Iterator[Row]:
    for number, row in _json_objects(where, text):
        at = f"{where}, {number}"
        if not isinstance(row, dict):
            missing(at, [], "", "", reading)
        row = _of_vertex(row)
        image, label = column_of_images(row, reading, at), column_of_labels(row, reading, at)
        missing(at, row, image, label, reading)
        named = row[image]
        if isinstance(named, dict) and isinstance(named.get("path"), str):
            named = named["path"]
        if not (named is None or isinstance(named, (str, int))):
            raise HeadstartError(f"{at}: {image!r} is no path or address but {type(named).__name__}")
        split = column_of_splits(row)
        text_of = {name: "" if value is None else _text(value) for name, value in row.items()}
        yield Row(
            "" if named is None else _text(named).strip(),
            _text(label_text(row[label], at)) if label else "",
            text_of[split].strip().lower() if split else "",
            extras(text_of, {image, label, split}, at),
        )


def _json_objects(where: str, text: str) -> Iterator[tuple[str, Any]]:
    """The objects of a JSON list, or of lines of JSON, each with its place in words."""
    start = text.lstrip()[:1]
    if start == "[":
        for number, row in enumerate(_parsed(where, text, "list"), start=1):
            yield f"element {number}", row
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _parsed(where, line, f"line {number}")


def _parsed(where: str, text: str, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _without_repeats(f"{where}, {place}", pairs))
    except ValueError as error:
        raise HeadstartError(f"{where}, {place}: no JSON ({error})") from None
    except RecursionError:
        raise HeadstartError(f"{where}, {place}: JSON that is nested too deeply for a table") from None


def _without_repeats(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_no_column_twice((name for name, _ in pairs), where)
    return dict(pairs)


def _of_vertex(row: dict[str, Any]) -> dict[str, Any]:
    """A line of Vertex AI's import file with our names; any other as it is."""
    if _VERTEX_IMAGE not in row:
        return {_text(name): value for name, value in row.items()}
    several = row.get(_VERTEX_SEVERAL, [row.get(_VERTEX_ONE)])
    names = [each.get("displayName") for each in several if isinstance(each, dict)]
    labels = row.get(_VERTEX_LABELS)
    use = str(labels.get(_VERTEX_USE, "")) if isinstance(labels, dict) else ""
    return {"image": row[_VERTEX_IMAGE], "label": names or None, SPLIT: _USES.get(use.upper(), "")}


def _text(value: object) -> str:
    """A JSON key or value as text; half a character, which UTF-8 cannot say, becomes a question mark."""
    return str(value).encode(errors="replace").decode()
