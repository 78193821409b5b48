"""Checked pictures on their way: pixels on disk, facts in columns, until all of them are known.

Which pictures are duplicates, and of what, shows only at the end; until then nothing of them stays in memory but a
couple of hundred bytes each. The files have no name and vanish with the process, whatever ends it.
"""

import dataclasses
import tempfile
from array import array
from collections import defaultdict
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.download_dataset.images import Picture
from headstart.components.download_dataset.lookalikes import SKETCH_BYTES
from headstart.components.download_dataset.measures import Measures

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.int32()),
        ("split", pa.string()),
        ("id", pa.string()),
        ("format", pa.string()),
        ("exif", pa.string()),
        ("file_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("stored_width", pa.int32()),
        ("stored_height", pa.int32()),
        *((field.name, pa.float32()) for field in dataclasses.fields(Measures)),
    ]
)
"""Of the facts: `width` and `height` are the file's own, `exif` is the camera, `split` the ready-made one."""

_BATCH = 4096


class Spool:
    """Takes pictures in, and gives them out again by row."""

    def __enter__(self) -> "Spool":
        self._encoded = tempfile.TemporaryFile(prefix="headstart-")
        self._sketches = tempfile.TemporaryFile(prefix="headstart-")
        self._ends = array("q", [0])
        self._pending: dict[str, list[Any]] = defaultdict(list)
        self._batches: list[pa.RecordBatch] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoded.close()
        self._sketches.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, path: str, label: int, split: str, picture: Picture) -> None:
        """Appends a picture; its row is the number of those before it."""
        self._encoded.write(picture.encoded)
        self._sketches.write(picture.sketch)
        self._ends.append(self._ends[-1] + len(picture.encoded))
        values = (
            path,
            label,
            split,
            picture.id,
            picture.format,
            picture.camera,
            picture.original_bytes,
            picture.original_width,
            picture.original_height,
            picture.width,
            picture.height,
            *(getattr(picture.measures, field.name) for field in dataclasses.fields(Measures)),
        )
        for name, value in zip(SCHEMA.names, values, strict=True):
            self._pending[name].append(value)
        if len(self._pending["path"]) == _BATCH:
            self._flush()

    def facts(self) -> pa.Table:
        """One row a picture, by `SCHEMA`."""
        self._flush()
        return pa.Table.from_batches(self._batches, SCHEMA)

    def sketches(self) -> NDArray[np.uint8]:
        """Sketches of all pictures, uint8 (pictures, 1024), mapped from disk."""
        if not len(self):
            return np.empty((0, SKETCH_BYTES), np.uint8)
        self._sketches.flush()
        return np.memmap(self._sketches, np.uint8, "r", shape=(len(self), SKETCH_BYTES))

    def encoded(self, row: int) -> bytes:
        """A picture's bytes."""
        start, end = self._ends[row], self._ends[row + 1]
        self._encoded.seek(start)
        return self._encoded.read(end - start)

    def _flush(self) -> None:
        if self._pending:
            self._batches.append(pa.RecordBatch.from_pydict(self._pending, SCHEMA))
            self._pending.clear()
