"""Formats in which `headstart predict` writes predictions: a table for people, JSON lines, CSV and Parquet."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter
from rich.cells import cell_len, set_cell_size

from headstart.components.core.artifacts.predictions import PROBABILITY
from headstart.components.core.util.printable import escape_unprintable
from headstart.components.core.util.spreadsheet import FORMULA
from headstart.components.predict_images.step import UNCERTAIN, Writer, write_parquet

ABSTAINED = "?"
"""Label in the table of an image for which the model abstains."""

UNFAMILIAR_MARK = "*"
"""Mark in the table of an image that is unlike the training images."""


def write_table(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO, legends: Mapping[str, str] | None = None
) -> None:
    """Writes lines for people, each batch as soon as it is there: label, its probability, file.

    Args:
        batches: Predictions.
        schema: Columns of the predictions.
        file: Open file to write.
        legends: Meanings of `ABSTAINED` and `UNFAMILIAR_MARK`, which follow the table if they are in it; None: no
            legend.
    """
    images = 0
    marked: Counter[str] = Counter()
    columns = [name for name in schema.names if name.startswith(PROBABILITY)]
    width = max(cell_len(text) for text in ("label", *(name.removeprefix(PROBABILITY) for name in columns)))

    def line(label: str, probability: str, rest: str, mark: str = "") -> str:
        return f"{set_cell_size(label, width)}  {probability:>11}{mark:<2}{rest}\n"

    file.write(line("label", "probability", "file").encode())
    for batch in batches:
        for row in batch.to_pylist():
            if row["reason"]:
                text = line("", "", f"{escape_unprintable(row['file'])}: {row['reason']}: {row['detail']}")
            else:
                text = line(
                    escape_unprintable(row["label"] or ABSTAINED),
                    f"{max(row[name] for name in columns):.3f}",
                    escape_unprintable(row["file"]),
                    UNFAMILIAR_MARK if row["unfamiliar"] else "",
                )
            file.write(text.encode())
            images += 1
            marked[ABSTAINED] += row["abstention"] == UNCERTAIN
            marked[UNFAMILIAR_MARK] += bool(row["unfamiliar"])
        file.flush()
    counts = {ABSTAINED: "no label for {} of {} images, {}", UNFAMILIAR_MARK: "{} of {} images {}"}
    for mark, meaning in (legends or {}).items():
        if marked[mark] and meaning:
            text = counts[mark].format(f"{marked[mark]:,}", f"{images:,}", meaning)
            file.write(f"{mark}: {text}\n".encode())
    file.flush()


def write_jsonl(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes one JSON object a line, each batch as soon as it is there."""
    for batch in batches:
        lines = (json.dumps(row, ensure_ascii=False) for row in batch.to_pylist())
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.flush()


def write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes a header and one line an image, each batch as soon as it is there; null becomes empty.

    The file is safe to open in a spreadsheet, see `core.util.spreadsheet`; the other formats keep texts unchanged.
    """
    with CSVWriter(file, schema) as writer:
        for batch in batches:
            columns = [_safe(column) if pa.types.is_string(column.type) else column for column in batch.columns]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            file.flush()


def _safe(texts: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(texts, f"^{FORMULA}", r"'\1", max_replacements=1)


WRITERS: dict[str, Writer] = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}
"""Functions that write the formats of files, by the suffix of such files."""
