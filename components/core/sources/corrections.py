"""Corrected classes: a CSV file that says of some pictures what they really are."""

import csv
import io
from collections.abc import Mapping

from headstart.components.core.storage.stores import is_remote, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quoted
from headstart.components.core.util.spreadsheet import text_of_cell
from headstart.components.core.util.user_files import MAX_BYTES, read_user_file

_NEEDED = ("id", "label")


def corrections_file(address: str) -> bytes:
    """What a file of corrections holds.

    Args:
        address: A path, or an `http(s)://`, `gs://` or `s3://` address.

    Raises:
        HeadstartError: It cannot be read.
    """
    if is_remote(address):
        return open_store(address).read(address, max_bytes=MAX_BYTES)
    return read_user_file(address, f"corrections {address!r}")


def read_corrections(address: str, classes: list[str]) -> Mapping[str, str]:
    """The right class of each picture that is listed, by its id; empty for a picture that is to be left out.

    Args:
        address: A CSV file with the columns `id` (of the pixels, as in the dataset) and `label`, and any others: the
            evaluation's `label_errors.csv` is one, also after a spreadsheet has saved it. A path, or an
            `http(s)://`, `gs://` or `s3://` address; empty for no corrections.
        classes: Class names; a label has to be one of them.

    Raises:
        HeadstartError: It cannot be read, lacks a column, or gives one picture two classes, or one that the data do
            not have.
    """
    if not address:
        return {}
    name = without_secrets(address)
    try:
        rows = csv.DictReader(io.StringIO(corrections_file(address).decode("utf-8-sig"), newline=""), restval="")
        missing = [column for column in _NEEDED if column not in (rows.fieldnames or [])]
        if missing:
            raise HeadstartError(
                f"corrections {name!r} lack the column {' and '.join(missing)}; give id and label, as in "
                "label_errors.csv"
            )
        corrections: dict[str, str] = {}
        for row in rows:
            image, label = row["id"].strip(), _class_of(row["label"].strip(), classes)
            if label and label not in classes:
                raise HeadstartError(
                    f"corrections {name!r} call picture {image} {quoted(label)}; the classes are {', '.join(classes)}"
                )
            if corrections.setdefault(image, label) != label:
                raise HeadstartError(
                    f"corrections {name!r} call picture {image} both {quoted(corrections[image])} and "
                    f"{quoted(label)}; keep one"
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(f"corrections {name!r} are not CSV in UTF-8 ({error}); save the table as such") from None
    return corrections


def _class_of(cell: str, classes: list[str]) -> str:
    """The class that a cell names, which may be in the form that `core.util.spreadsheet` writes."""
    text = text_of_cell(cell)
    return text if text in classes else cell
