"""Answers as JSON lines, CSV or Parquet, and how they are counted."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from headstart.components.core.util.spreadsheet import FORMULA

_ROWS_OF_A_GROUP = 16_384


@dataclasses.dataclass
class Tally:
    """Answers, counted as they pass.

    Attributes:
        images: In all.
        abstained: Those of which the model was not sure enough.
        unreadable: Those that could not be read, by reason.
        first: The first of them, with its reason in words; empty: there is none.
    """

    images: int = 0
    abstained: int = 0
    unreadable: Counter[str] = dataclasses.field(default_factory=Counter)
    first: str = ""

    def count(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Passes batches on and counts their rows."""
        for batch in batches:
            self.images += len(batch)
            self.abstained += sum(batch["abstained"].to_pylist())
            reasons = batch["reason"].to_pylist()
            self.unreadable.update(reason for reason in reasons if reason)
            if not self.first and any(reasons):
                row = next(place for place, reason in enumerate(reasons) if reason)
                self.first = ": ".join(str(batch[name][row]) for name in ("file", "reason", "detail"))
            yield batch

    def in_words(self) -> str:
        """What could not be read; empty where all was."""
        if not self.unreadable:
            return ""
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.unreadable.most_common())
        return f"{self.unreadable.total()} of {self.images} images could not be read: {reasons}"


def write_jsonl(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes a JSON object a line, each batch as soon as it is there."""
    for batch in batches:
        lines = (json.dumps(row, ensure_ascii=False) for row in batch.to_pylist())
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.flush()


def write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes a header and a line an image, each batch as soon as it is there; what is null is empty.

    It is safe to open in a spreadsheet, see `core.util.spreadsheet`; the other formats hold texts as they are.
    """
    with CSVWriter(file, schema) as writer:
        for batch in batches:
            columns = [_safe(column) if pa.types.is_string(column.type) else column for column in batch.columns]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            file.flush()


def _safe(texts: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(texts, f"^{FORMULA}", r"'\1", max_replacements=1)


def write_parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes a table, some thousand rows at once."""
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(map(len, waiting)) >= _ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema))


Write = Callable[[Iterable[pa.RecordBatch], pa.Schema, BinaryIO], None]

FORMATS: dict[str, Write] = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}
"""How answers are written, by the suffix that such files have."""
