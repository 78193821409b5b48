"""Which column of a table names the picture, which the class, and which values are classes."""

import dataclasses
import functools
import numbers
import re
from collections.abc import Iterable, Mapping
from typing import Any

from headstart.components.core.artifacts.dataset import schema
from headstart.components.core.sources.source import shown
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quoted

SPLIT = "split"

_IMAGE_NAMES = (
    "image", "image_path", "image_file", "image_filename", "image_name", "image_id", "image_url", "image_uri",
    "img", "img_path", "file_name", "filename", "file", "file_path", "filepath", "path", "picture", "imagegcsuri",
)  # fmt: skip
_LABEL_NAMES = ("label", "labels", "label_name", "class", "class_name", "classname", "category", "target")
_FLOAT = re.compile(r"[+-]?\d+\.\d*")
_OWN = {*schema([]).names, "path"}
_RESERVED_PREFIX = "image."
_SHOWN_CHARS = 60


@dataclasses.dataclass(frozen=True)
class Reading:
    """How sources are read.

    Attributes:
        image_column: Column of manifests and Parquet that names or holds the picture; empty: by the usual names.
        label_column: Column that has the class; empty: by the usual names.
        labels: Rule that classes are told by: ``auto``, ``given``, ``folders`` or ``names``.
        labelled: Whether there have to be classes; where not, columns of them are not looked for.
    """

    image_column: str = ""
    label_column: str = ""
    labels: str = "auto"
    labelled: bool = True


def column_of_images(names: Iterable[str], reading: Reading, where: str) -> str:
    """Name of the column that names or holds the picture; empty where there is none.

    Raises:
        HeadstartError: If the column that was asked for is not there, or two could be meant.
    """
    return _column(list(names), _IMAGE_NAMES, reading.image_column, "image_column", where)


def column_of_labels(names: Iterable[str], reading: Reading, where: str) -> str:
    """Name of the column that has the class; empty where there is none, or none is looked for.

    Raises:
        HeadstartError: If the column that was asked for is not there, or two could be meant.
    """
    if not reading.labelled:
        return ""
    return _column(list(names), _LABEL_NAMES, reading.label_column, "label_column", where)


def column_of_splits(names: Iterable[str]) -> str:
    """Name of the column that has the ready-made split; empty where there is none."""
    return next((name for name in names if _plain(name) == SPLIT), "")


def check_no_column_twice(names: Iterable[str], where: str) -> None:
    """Refuses a table with two columns of one name, of which only one could be read.

    Raises:
        HeadstartError: If there are two; columns without a name are passed over.
    """
    seen: set[str] = set()
    for name in (each.strip() for each in names):
        if name and name in seen:
            raise HeadstartError(f"{where} has the column {shown(name)!r} twice; rename or remove one of them")
        seen.add(name)


def extras(row: Mapping[str, Any], used: Iterable[str], where: str) -> dict[str, str]:
    """Further columns of a row that go along with its picture, unless they are called like the dataset's own.

    Raises:
        HeadstartError: If a column has a name that the dataset keeps for itself.
    """
    left = {name: value for name, value in row.items() if name.strip() and name not in used}
    reserved = [name for name in left if name.strip().startswith(_RESERVED_PREFIX)]
    if reserved:
        raise HeadstartError(
            f"{where} has the column {shown(reserved[0])!r}, a name that the dataset uses itself; rename it"
        )
    return {shown(name.strip()): shown(value) for name, value in left.items() if name.strip() not in _OWN}


def missing(where: str, names: Iterable[str], image: str, label: str, reading: Reading) -> None:
    """Refuses a table that lacks a column.

    Raises:
        HeadstartError: If `image` is empty, or `label` is where classes are needed.
    """
    lacking = [] if image else ["image"]
    lacking += ["label"] if reading.labelled and not label else []
    if lacking:
        options = " and ".join(f"{each}_column" for each in lacking)
        raise HeadstartError(
            f"{where} has the columns {', '.join(map(shown, names)) or '(none)'}; it lacks {' and '.join(lacking)}: "
            f"rename the column, or name it with {options}"
        )


def label_text(value: Any, where: str) -> str:
    """The class that a value names: text without blanks at its ends, or a whole number; a list of one is its element.

    Args:
        value: As JSON or Parquet has it; None: no class.
        where: Names the row, for the error.

    Raises:
        HeadstartError: If the value is anything else: a list of several, an object, a truth value, a fraction, NaN.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise _no_label(value, where) from None
    if isinstance(value, str):
        return shown(value.strip())
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))
    raise _no_label(value, where)


def check_labels_are_no_numbers_twice(labels: Iterable[str], where: str) -> None:
    """Refuses labels of which two are one number, such as 0 and 0.0: a table program has changed some of them.

    Raises:
        HeadstartError: If two are.
    """
    classes = set(labels)
    for label in sorted(classes):
        if _FLOAT.fullmatch(label) and float(label).is_integer() and str(int(float(label))) in classes:
            raise HeadstartError(
                f"{where} has the labels {quoted(str(int(float(label))))} and {quoted(label)}, which are one number; "
                "write it in one way"
            )


def _no_label(value: Any, where: str) -> HeadstartError:
    said = shown(repr(value))
    said = said if len(said) <= _SHOWN_CHARS else f"{said[:_SHOWN_CHARS]}…"
    way_out = "a label is a text or a whole number"
    if isinstance(value, (list, tuple)) and len(value) > 1:
        way_out = "one class for each picture is what can be learned, not several"
    elif isinstance(value, (bool, float)):
        way_out += "; make the column one of these, empty where there is no class"
    return HeadstartError(f"{where}: the label {said} is no class; {way_out}")


@functools.lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return name.strip().lstrip("\ufeff").casefold().replace(" ", "_").replace("-", "_")


def _column(names: list[str], usual: tuple[str, ...], asked: str, option: str, where: str) -> str:
    if asked:
        found = [name for name in names if name == asked] or [name for name in names if _plain(name) == _plain(asked)]
        if not found:
            columns = ", ".join(map(shown, names)) or "(none)"
            raise HeadstartError(f"{where} has no column {asked!r}, which {option} names; its columns are {columns}")
    else:
        # `image` and `label` themselves go before what else such columns are called.
        found = [name for name in names if _plain(name) == usual[0]]
        found = found or [name for name in names if _plain(name) in usual]
    if len(found) > 1:
        choice = " or ".join(repr(shown(name)) for name in found)
        raise HeadstartError(f"{where}: the column could be {choice}; say which with {option}")
    return found[0] if found else ""
