"""Corrected classes: a CSV file that gives some images their right class."""

import csv
import io
from collections.abc import Mapping

from headstart.components.core.storage.stores import is_remote, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quote_name
from headstart.components.core.util.spreadsheet import unescape_cell
from headstart.components.core.util.user_files import MAX_BYTES, read_user_file

_NEEDED = ("id", "label")


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


def read_corrections(address: str, classes: list[str]) -> Mapping[str, str]:
    """The right class of each listed image, by its id; empty for an image to leave out.

    Args:
        address: CSV file with the columns `id` (hash of the pixels, as in the dataset) and `label`; others are
            ignored. The evaluation's `label_errors.csv` is one, also after a spreadsheet has saved it. A path, or an
            `http(s)://`, `gs://` or `s3://` address; empty: no corrections.
        classes: Class names of the data.

    Raises:
        HeadstartError: If the file cannot be read, lacks a column, gives one image two classes, or names a class
            that the data do not have.
    """
    if not address:
        return {}
    name = without_secrets(address)
    try:
        rows = csv.DictReader(io.StringIO(read_corrections_file(address).decode("utf-8-sig"), newline=""), restval="")
        missing = [column for column in _NEEDED if column not in (rows.fieldnames or [])]
        if missing:
            raise HeadstartError(
                f"corrections {name!r} lack the column {' and '.join(missing)}; give id and label, as in "
                "label_errors.csv"
            )
        corrections: dict[str, str] = {}
        for row in rows:
            image, label = row["id"].strip(), _class_of_cell(row["label"].strip(), classes)
            if label and label not in classes:
                raise HeadstartError(
                    f"corrections {name!r} call image {image} {quote_name(label)}; the classes are "
                    f"{', '.join(classes)}"
                )
            if corrections.setdefault(image, label) != label:
                raise HeadstartError(
                    f"corrections {name!r} call image {image} both {quote_name(corrections[image])} and "
                    f"{quote_name(label)}; keep one"
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(f"corrections {name!r} are not CSV in UTF-8 ({error}); save the table as such") from None
    return corrections


def _class_of_cell(cell: str, classes: list[str]) -> str:
    """The class that a cell gives, which may be escaped as `core.util.spreadsheet` does."""
    text = unescape_cell(cell)
    return text if text in classes else cell
