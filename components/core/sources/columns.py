"""Columns of a table of images: names of the image, label, split and group columns, and values of them."""

import dataclasses
import functools
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from typing import Any

from headstart.components.core.artifacts.dataset import dataset_schema
from headstart.components.core.sources.file_names import escape_text
from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quote_name

SPLIT = "split"
GROUP = "group"
"""Name of the column whose images stay together where no other is named; it must be exactly this."""

_IMAGE_NAMES = (
    "image", "image_path", "image_file", "image_filename", "image_name", "image_id", "image_url", "image_uri",
    "img", "img_path", "file_name", "filename", "file", "file_path", "filepath", "path", "picture", "imagegcsuri",
)  # fmt: skip
_LABEL_NAMES = ("label", "labels", "label_name", "class", "class_name", "classname", "category", "target")
_NOT_A_NUMBER = "nan"
_FLOAT = re.compile(r"[+-]?\d+\.\d*")
_DATASET_COLUMNS = {*dataset_schema([]).names, "path"}
_RESERVED_PREFIX = "image."
_MAX_SHOWN_CHARS = 60


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """Columns and rule by which sources are read.

    Attributes:
        image_column: Column of manifests and Parquet that names or holds the image; empty: one with a usual name.
        label_column: Column of the class; empty: one with a usual name.
        labels: Rule that gives the classes: ``auto``, ``given``, ``folders`` or ``names``.
        labelled: True if classes are needed; otherwise label and group columns are not looked for.
        group_column: Column of the group, whose images stay in one split; empty: `GROUP`, if there is one.
    """

    image_column: str = ""
    label_column: str = ""
    labels: str = "auto"
    labelled: bool = True
    group_column: str = ""


def find_image_column(names: Iterable[str], options: SourceOptions, where: str) -> str:
    """Name of the column that names or holds the image; empty: there is none.

    Args:
        names: Names of all columns.
        options: Column that the user asks for, if any.
        where: Name of the table, for errors.

    Raises:
        HeadstartError: If the column that the user asks for is missing, or two columns have a usual name.
    """
    return _find_column(list(names), _IMAGE_NAMES, options.image_column, "image_column", where)


def find_label_column(names: Iterable[str], options: SourceOptions, where: str) -> str:
    """Name of the column of the class; empty: there is none, or no classes are needed.

    Args:
        names: Names of all columns.
        options: Column that the user asks for, if any.
        where: Name of the table, for errors.

    Raises:
        HeadstartError: If the column that the user asks for is missing, or two columns have a usual name.
    """
    if not options.labelled:
        return ""
    return _find_column(list(names), _LABEL_NAMES, options.label_column, "label_column", where)


def find_split_column(names: Iterable[str]) -> str:
    """Name of the column of the ready-made split; empty: there is none."""
    return next((name for name in names if _normalized(name) == SPLIT), "")


def find_group_column(names: Iterable[str], options: SourceOptions, where: str) -> str:
    """Name of the column of the group; empty: there is none, or no groups are needed.

    Args:
        names: Names of all columns.
        options: Column that the user asks for, if any.
        where: Name of the table, for errors.

    Raises:
        HeadstartError: If the column that the user asks for is missing, or could be two.
    """
    if not options.labelled:
        return ""
    names = list(names)
    if options.group_column:
        return _find_column(names, (), options.group_column, "group_column", where)
    return GROUP if GROUP in names else ""


def check_columns_unique(names: Iterable[str], where: str) -> None:
    """Refuses a table with two columns of one name, of which only one could be read.

    Args:
        names: Names of all columns; empty ones may repeat.
        where: Name of the table, for errors.

    Raises:
        HeadstartError: If two columns have the same name.
    """
    seen: set[str] = set()
    for name in (each.strip() for each in names):
        if name and name in seen:
            raise HeadstartError(f"{where} has the column {escape_text(name)!r} twice; rename or remove one of them")
        seen.add(name)


def extra_columns(row: Mapping[str, Any], used: Iterable[str], where: str) -> dict[str, str]:
    """Further columns of a row, which the dataset keeps; those with a name of the dataset's own columns are dropped.

    Args:
        row: Values by column.
        used: Columns that have a meaning of their own: image, label, split.
        where: Name of the table, for errors.

    Raises:
        HeadstartError: If a column has a name that is reserved for the dataset.
    """
    left = {name: value for name, value in row.items() if name.strip() and name not in used}
    reserved = [name for name in left if name.strip().startswith(_RESERVED_PREFIX)]
    if reserved:
        raise HeadstartError(
            f"{where} has the column {escape_text(reserved[0])!r}, a name that the dataset uses itself; rename it"
        )
    return {
        escape_text(name.strip()): escape_text(value)
        for name, value in left.items()
        if name.strip() not in _DATASET_COLUMNS
    }


def check_has_columns(where: str, names: Iterable[str], image: str, label: str, options: SourceOptions) -> None:
    """Refuses a table that lacks a column.

    Args:
        where: Name of the table, for errors.
        names: Names of all columns.
        image: Name of the image column; empty: there is none.
        label: Name of the label column; empty: there is none.
        options: True if classes are needed.

    Raises:
        HeadstartError: If there is no image column, or no label column where classes are needed.
    """
    missing = [] if image else ["image"]
    missing += ["label"] if options.labelled and not label else []
    if missing:
        arguments = " and ".join(f"{each}_column" for each in missing)
        raise HeadstartError(
            f"{where} has the columns {', '.join(map(escape_text, names)) or '(none)'}; it lacks "
            f"{' and '.join(missing)}: rename the column, or name it with {arguments}"
        )


def parse_label(value: Any, where: str) -> str:
    """The class that a value gives: a text without surrounding blanks, a whole number, or a list of one of these.

    Args:
        value: Value as JSON or Parquet has it; None: no class.
        where: Name of the row, for errors.

    Raises:
        HeadstartError: If the value is anything else: a list of several, an object, a boolean, a fraction, NaN.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise _no_class_error(value, where) from None
    if isinstance(value, str):
        return escape_text(value.strip())
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))
    raise _no_class_error(value, where)


def parse_group(value: Any, where: str) -> str:
    """The group that a value names: a text without surrounding blanks, or a number; empty: none.

    Args:
        value: Value as JSON or Parquet has it; None and NaN: no group.
        where: Name of the row, for errors.

    Raises:
        HeadstartError: If the value is anything else, such as a list.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, str):
        # Tables of programs that know only numbers and NaN have it where a text is missing.
        text = escape_text(value.strip())
        return "" if text.casefold() == _NOT_A_NUMBER else text
    if isinstance(value, numbers.Number):
        return str(value)
    shown = escape_text(repr(value))[:_MAX_SHOWN_CHARS]
    raise HeadstartError(
        f"{where}: the group {shown} is no name; a group is a text or a number, such as the number of a patient"
    )


def check_numeric_labels_consistent(labels: Iterable[str], where: str, kind: str = "labels") -> None:
    """Refuses labels of which two are the same number, such as 0 and 0.0: a spreadsheet has changed some of them.

    Args:
        labels: All labels.
        where: Name of the table, for errors.
        kind: Kind of the labels, for errors.

    Raises:
        HeadstartError: If two labels are the same number.
    """
    classes = set(labels)
    for label in sorted(classes):
        if _FLOAT.fullmatch(label) and float(label).is_integer() and str(int(float(label))) in classes:
            raise HeadstartError(
                f"{where} has the {kind} {quote_name(str(int(float(label))))} and {quote_name(label)}, which "
                "are one number; write it in one way"
            )


def _no_class_error(value: Any, where: str) -> HeadstartError:
    text = escape_text(repr(value))
    text = text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"
    way_out = "a label is a text or a whole number"
    if isinstance(value, (list, tuple)) and len(value) > 1:
        way_out = "give each image one class, several per image are not supported"
    elif isinstance(value, (bool, float)):
        way_out += "; make the column one of these, empty where there is no class"
    return HeadstartError(f"{where}: the label {text} is no class; {way_out}")


@functools.lru_cache(maxsize=1024)
def _normalized(name: str) -> str:
    return name.strip().lstrip("\ufeff").casefold().replace(" ", "_").replace("-", "_")


def _find_column(names: list[str], usual: tuple[str, ...], wanted: str, argument: str, where: str) -> str:
    if wanted:
        matches = [name for name in names if name == wanted] or [
            name for name in names if _normalized(name) == _normalized(wanted)
        ]
        if not matches:
            columns = ", ".join(map(escape_text, names)) or "(none)"
            similar = did_you_mean(wanted, [escape_text(name) for name in names])
            raise HeadstartError(
                f"{where} has no column {wanted!r}, which {argument} names; its columns are {columns}"
                + (f"; {similar}" if similar.endswith("?") else "")
            )
    else:
        # `image` and `label` themselves take precedence over other usual names.
        matches = [name for name in names if _normalized(name) == usual[0]]
        matches = matches or [name for name in names if _normalized(name) in usual]
    if len(matches) > 1:
        choice = " or ".join(repr(escape_text(name)) for name in matches)
        raise HeadstartError(f"{where}: the column could be {choice}; say which with {argument}")
    return matches[0] if matches else ""
