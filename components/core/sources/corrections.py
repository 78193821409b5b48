"""Corrected classes: a CSV file that gives some images their right class."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Mapping

from headstart.components.core.storage.stores import is_remote, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quote_name
from headstart.components.core.util.spreadsheet import unescape_cell
from headstart.components.core.util.user_files import MAX_BYTES, read_user_file

NONE_ACCEPTED = -1.0
"""Least confidence of suggestions where none is accepted."""

_NEEDED = ("id", "label")
_NEEDED_TO_ACCEPT = ("suggested", "confidence")


@dataclasses.dataclass(frozen=True)
class Corrections:
    """Corrected classes of some images.

    Attributes:
        classes: Class of each listed image, by its id; empty for an image to leave out.
        accepted: Confidence of the suggestion, 0 to 1, for those images whose class is a suggestion that nobody
            looked at, by their ids.
    """

    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    accepted: Mapping[str, float] = dataclasses.field(default_factory=dict)


def read_corrections_file(address: str) -> bytes:
    """Reads or downloads the bytes of a file of corrections.

    Args:
        address: Path, or `http(s)://`, `gs://` or `s3://` address.

    Raises:
        HeadstartError: If the file cannot be read.
    """
    if is_remote(address):
        return open_store(address).read(address, max_bytes=MAX_BYTES)
    return read_user_file(address, f"corrections {address!r}")


def read_corrections(address: str, classes: list[str], accept_suggestions: float = NONE_ACCEPTED) -> Corrections:
    """Reads the class of each listed image, and on request accepts suggested classes.

    Args:
        address: CSV file with the columns `id` (hash of the pixels, as in the dataset) and `label`; others are
            ignored, unless suggestions are accepted. The evaluation's `label_errors.csv` is one, also after a
            spreadsheet has saved it. A path, or an `http(s)://`, `gs://` or `s3://` address; empty: no corrections.
        classes: Class names of the data.
        accept_suggestions: Least `confidence`, 0 to 1, from which the class in the column `suggested` is taken for an
            image whose `label` is still its `given` class; `NONE_ACCEPTED`: none is.

    Raises:
        HeadstartError: If the file cannot be read, lacks a column, gives one image two classes, names a class that
            the data do not have, or has a confidence that is no number from 0 to 1.
    """
    if not address:
        return Corrections()
    name = without_secrets(address)
    found, accepted = dict[str, str](), dict[str, float]()
    try:
        for row in _read_rows(address, accepts=accept_suggestions != NONE_ACCEPTED):
            image, label = row["id"].strip(), _class_of_cell(row["label"].strip(), classes)
            unchanged = label and row.get("given", row["label"]).strip() == row["label"].strip()
            if accept_suggestions != NONE_ACCEPTED and unchanged:
                confidence = _parse_confidence(row["confidence"], image, name)
                if confidence >= accept_suggestions and (suggested := row["suggested"].strip()):
                    label, accepted[image] = _class_of_cell(suggested, classes), confidence
            if label and label not in classes:
                raise HeadstartError(
                    f"corrections {name!r} call image {image} {quote_name(label)}; the classes are "
                    f"{', '.join(classes)}"
                )
            if found.setdefault(image, label) != label:
                raise HeadstartError(
                    f"corrections {name!r} call image {image} both {quote_name(found[image])} and "
                    f"{quote_name(label)}; keep one"
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(f"corrections {name!r} are not CSV in UTF-8 ({error}); save the table as such") from None
    return Corrections(found, accepted)


def _read_rows(address: str, accepts: bool) -> Iterator[dict[str, str]]:
    """Yields the rows of a file of corrections that has all columns which are needed."""
    name = without_secrets(address)
    rows = csv.DictReader(io.StringIO(read_corrections_file(address).decode("utf-8-sig"), newline=""), restval="")
    columns = rows.fieldnames or []
    if missing := [column for column in _NEEDED if column not in columns]:
        raise HeadstartError(
            f"corrections {name!r} lack the column {' and '.join(missing)}; give id and label, as in label_errors.csv"
        )
    if accepts and (missing := [column for column in _NEEDED_TO_ACCEPT if column not in columns]):
        raise HeadstartError(
            f"corrections {name!r} lack the column {' and '.join(missing)}, so no suggestion can be accepted; give "
            "label_errors.csv of a run of this version, or leave accept_suggestions out"
        )
    yield from rows


def _parse_confidence(cell: str, image: str, name: str) -> float:
    """The confidence of a suggestion; below every limit where the cell is empty."""
    if not cell.strip():
        return -math.inf
    try:
        confidence = float(cell)
    except ValueError:
        confidence = math.nan
    if not 0 <= confidence <= 1:
        raise HeadstartError(
            f"corrections {name!r} have the confidence {cell!r} for image {image}; write a number from 0 to 1, such "
            "as 0.95"
        )
    return confidence


def _class_of_cell(cell: str, classes: list[str]) -> str:
    """The class that a cell gives, which may be escaped as `core.util.spreadsheet` does."""
    text = unescape_cell(cell)
    return text if text in classes else cell
