"""Tables of images and their classes: CSV with any usual separator, JSON, JSON lines, Vertex AI's import files."""

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from headstart.components.core.sources.columns import (
    SPLIT,
    SourceOptions,
    check_columns_unique,
    check_has_columns,
    check_numeric_labels_consistent,
    extra_columns,
    find_group_column,
    find_image_column,
    find_label_column,
    find_split_column,
    parse_group,
    parse_label,
)
from headstart.components.core.sources.file_names import escape_text, has_image_suffix
from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

_SEPARATORS = ",;\t|"
_EXCEL_SEPARATOR = "sep="
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# First field of a line in Vertex AI's import files.
_VERTEX_SPLITS = {
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
    """An image as a table has it.

    Attributes:
        image: Path or address; empty: none.
        label: Name of its class; empty: none.
        split: Ready-made split in lower case; empty: none.
        extra: Values of further columns by name.
        group: Name of its group; empty: none.
    """

    image: str
    label: str
    split: str
    extra: dict[str, str]
    group: str = ""


def is_table(name: str) -> bool:
    """Whether a file, which could be any text, is a table by its name."""
    return _suffix(name) in (*TEXT_SUFFIXES, *JSON_SUFFIXES)


def read_table(name: str, content: bytes, options: SourceOptions) -> list[Row]:
    """Reads a table of images.

    A text has a header with the columns `image` and `label` (or other usual names, in any case), and optionally
    `split` and `group`. Without a header each line is an image and its class, as Vertex AI imports them, optionally
    after the split. Instead of a label column there may be one column for each class, with 1 for the class and 0 for
    others. JSON is a list of objects, or one object a line, with the same names.

    Args:
        name: File name for errors; its suffix decides between text and JSON.
        content: Bytes of the file.
        options: Columns to read, and whether classes are needed.

    Raises:
        HeadstartError: If the content is no such table, a column is missing or repeated, or a label is no class.
    """
    where = f"manifest {name!r}"
    try:
        text = _decode(content)
        rows = list((_json_rows if _suffix(name) in JSON_SUFFIXES else _text_rows)(where, text, options))
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(
            f"{where} is no UTF-8 text with one image a line ({error}); save the table as such"
        ) from None
    check_numeric_labels_consistent((row.label for row in rows), where)
    check_numeric_labels_consistent((row.group for row in rows), where, "groups")
    return rows


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix


def _decode(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\0" in content[:2]:
        # In UTF-16 every other byte of ASCII text is 0.
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    return content.decode()


def _text_rows(where: str, text: str, options: SourceOptions) -> Iterator[Row]:
    separator = ""
    if text[: len(_EXCEL_SEPARATOR)].lower() == _EXCEL_SEPARATOR:
        line, _, text = text.partition("\n")
        separator = line.strip()[len(_EXCEL_SEPARATOR) :]
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = separator or _find_separator(first, options, where)
    lines = _split_at_blanks(text) if not separator else _split_at(text, separator)
    header = next(lines, (0, []))[1]
    if _is_header(header, options, where):
        return _rows_with_header(where, header, lines, options)
    return _rows_without_header(where, _split_at_blanks(text) if not separator else _split_at(text, separator))


def _find_separator(header: str, options: SourceOptions, where: str) -> str:
    """The separator that gives a header with known names, or else the most columns; empty: there is one column."""

    def rank(separator: str) -> tuple[bool, int]:
        fields = next(iter(_split_at(header, separator)), (0, []))[1]
        return len(fields) > 1 and _is_header(fields, options, where), len(fields)

    best = max(_SEPARATORS, key=rank)
    return best if rank(best)[1] > 1 else ""


def _is_header(fields: list[str], options: SourceOptions, where: str) -> bool:
    if options.image_column or options.label_column or options.group_column:
        return True
    if any(_is_image(field) for field in fields):
        return False
    return len(fields) > 1 or bool(fields and find_image_column(fields, options, where))


def _is_image(text: str) -> bool:
    return is_remote(text) or has_image_suffix(text)


def _split_at(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields number and fields of each line that is not blank; fields lose surrounding blanks."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    for row in rows:
        fields = [field.strip() for field in row]
        if any(fields):
            yield rows.line_num, fields


def _split_at_blanks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields number and fields of each line: a path, in which blanks are allowed, and a class; or a path alone."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, [line.strip()] if _is_image(line.strip()) else line.rsplit(maxsplit=1)


def _rows_with_header(
    where: str, header: list[str], lines: Iterator[tuple[int, list[str]]], options: SourceOptions
) -> Iterator[Row]:
    check_columns_unique(header, where)
    image, label = find_image_column(header, options, where), find_label_column(header, options, where)
    rows = [
        dict(zip(header, _padded(f"{where}, line {number}", fields, len(header)), strict=True)) | {"": str(number)}
        for number, fields in lines
    ]
    group = find_group_column(header, options, where)
    others = [name for name in header if name not in ("", image, group, find_split_column(header))]
    classes = _find_one_hot_columns(others, rows) if image and not label and options.labelled else []
    if not classes:
        check_has_columns(where, header, image, label, options)
    split = find_split_column(header)
    # A column of groups stays one of the data, by which metrics are sliced; the dataset's own has its name.
    used = {image, label, split, *classes, ""}
    for row in rows:
        name = _one_hot_label(where, row, classes) if classes else escape_text(row[label]) if label else ""
        at = f"{where}, line {row['']}"
        yield Row(
            row[image],
            name,
            row[split].lower() if split else "",
            extra_columns(row, used, where),
            parse_group(row[group], at) if group else "",
        )


def _padded(where: str, fields: list[str], columns: int) -> list[str]:
    if any(fields[columns:]):
        raise HeadstartError(
            f"{where} has {len(fields)} fields under {columns} columns; quote a field that contains a separator"
        )
    return [*fields[:columns], *[""] * (columns - len(fields))]


def _find_one_hot_columns(others: list[str], rows: list[dict[str, str]]) -> list[str]:
    """Columns of 0 and 1 that stand for a class each; empty: there are no such columns.

    Args:
        others: Names of the columns that are not image, split or group.
        rows: Rows of the table.
    """
    binary = [name for name in others if all(row[name] in ("0", "1", "0.0", "1.0", "") for row in rows)]
    return binary if rows and len(binary) > 1 and any(_hot_columns(row, binary) for row in rows) else []


def _hot_columns(row: dict[str, str], classes: Iterable[str]) -> list[str]:
    return [name for name in classes if row[name] in ("1", "1.0")]


def _one_hot_label(where: str, row: dict[str, str], classes: list[str]) -> str:
    return parse_label(_hot_columns(row, classes) or None, f"{where}, line {row['']}")


def _rows_without_header(where: str, lines: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for number, fields in lines:
        split = _VERTEX_SPLITS.get(fields[0].upper())
        rest = fields if split is None else fields[1:]
        if not rest or not (_is_image(rest[0]) or split is not None):
            raise HeadstartError(
                f"{where} has the columns {', '.join(map(escape_text, fields))}; it lacks image and label: write a "
                "header with these names above them"
            )
        labels = [field for field in rest[1:] if field]
        yield Row(rest[0], parse_label(labels or None, f"{where}, line {number}"), split or "", {})


def _json_rows(where: str, text: str, options: SourceOptions) -> Iterator[Row]:
    names: dict[str, None] = {}
    for number, row in _json_objects(where, text):
        at = f"{where}, {number}"
        if not isinstance(row, dict):
            check_has_columns(at, [], "", "", options)
        row = _from_vertex(row)
        image, label = find_image_column(row, options, at), find_label_column(row, options, at)
        check_has_columns(at, row, image, label, options)
        value = row[image]
        if isinstance(value, dict) and isinstance(value.get("path"), str):
            value = value["path"]
        if not (value is None or isinstance(value, (str, int))):
            raise HeadstartError(f"{at}: {image!r} is no path or address but {type(value).__name__}")
        split = find_split_column(row)
        names |= dict.fromkeys(row)
        group = _find_group_key(row, options, at)
        text_of = {name: "" if each is None else _text(each) for name, each in row.items()}
        yield Row(
            "" if value is None else _text(value).strip(),
            _text(parse_label(row[label], at)) if label else "",
            text_of[split].strip().lower() if split else "",
            extra_columns(text_of, {image, label, split}, at),
            _text(parse_group(row[group], at)) if group else "",
        )
    find_group_column(names, options, where)


def _find_group_key(row: dict[str, Any], options: SourceOptions, where: str) -> str:
    """Name of the group's key in an object, which may lack it; the other objects are asked then."""
    try:
        return find_group_column(row, options, where)
    except HeadstartError:
        return ""


def _json_objects(where: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yields the objects of a JSON list, or of lines of JSON, each after its place in words."""
    start = text.lstrip()[:1]
    if start == "[":
        for number, row in enumerate(_parse_json(where, text, "list"), start=1):
            yield f"element {number}", row
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _parse_json(where, line, f"line {number}")


def _parse_json(where: str, text: str, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object_of_pairs(f"{where}, {place}", pairs))
    except ValueError as error:
        raise HeadstartError(f"{where}, {place}: no JSON ({error})") from None
    except RecursionError:
        raise HeadstartError(f"{where}, {place}: JSON that is nested too deeply for a table") from None


def _object_of_pairs(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_columns_unique((name for name, _ in pairs), where)
    return dict(pairs)


def _from_vertex(row: dict[str, Any]) -> dict[str, Any]:
    """A line of Vertex AI's import file under our column names; any other line unchanged."""
    if _VERTEX_IMAGE not in row:
        return {_text(name): value for name, value in row.items()}
    several = row.get(_VERTEX_SEVERAL, [row.get(_VERTEX_ONE)])
    names = [each.get("displayName") for each in several if isinstance(each, dict)]
    labels = row.get(_VERTEX_LABELS)
    use = str(labels.get(_VERTEX_USE, "")) if isinstance(labels, dict) else ""
    return {"image": row[_VERTEX_IMAGE], "label": names or None, SPLIT: _VERTEX_SPLITS.get(use.upper(), "")}


def _text(value: object) -> str:
    """A JSON key or value as text; lone surrogates, which UTF-8 cannot encode, become question marks."""
    return str(value).encode(errors="replace").decode()
