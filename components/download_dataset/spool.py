"""Temporary store of checked images on disk, pixels and properties alike, until all of them are known.

Duplicates are known only at the end; until then only the place of each image in the files stays in memory. The files
have no name and vanish with the process, whatever ends it.
"""

import contextlib
import itertools
import os
import tempfile
from array import array
from collections.abc import Sequence
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.download_dataset.check_results import PROPERTIES_SCHEMA
from headstart.components.download_dataset.near_duplicates import SKETCH_BYTES

SPOOL_SCHEMA = pa.schema(
    [
        *(("path", pa.string()), ("label", pa.int32()), ("split", pa.string()), ("extra", pa.string())),
        ("group", pa.string()),
        *PROPERTIES_SCHEMA,
    ]
)
"""Properties of an image: `label` is an index into the classes, `split` the ready-made one, `extra` a JSON object or
empty, `group` the one that the user names."""

BATCH_ROWS = 4096
"""Number of rows of properties that are written, and read, at once."""

_MAX_READ_BYTES = 2**20


class Spool:
    """Store of images on disk; they are appended once, and then read by row."""

    def __enter__(self) -> "Spool":
        with contextlib.ExitStack() as files:
            self._encoded, self._sketches, self._properties = (
                files.enter_context(tempfile.TemporaryFile(prefix="headstart-")) for _ in range(3)
            )
            self._close = files.pop_all()
        self._ends = array("q", [0])
        self._firsts = [0]
        self._pending: list[pa.RecordBatch] = []
        self._writer = pa.ipc.new_file(self._properties, SPOOL_SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing may fail to write on a full disk; the files are of no use any more.
        with contextlib.suppress(OSError):
            self._close.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, properties: pa.RecordBatch, sketches: pa.Array, encoded: Sequence[bytes]) -> None:
        """Appends images; the row of each is the number of images before it.

        Args:
            properties: Properties of the images, by `SPOOL_SCHEMA`.
            sketches: Sketches of the images, fixed-size binary (images,).
            encoded: Bytes of the images.
        """
        self._encoded.writelines(encoded)
        self._sketches.write(b"".join(sketches.to_pylist()))
        end = self._ends[-1]
        for each in encoded:
            end += len(each)
            self._ends.append(end)
        self._pending.append(properties)
        if sum(map(len, self._pending)) >= BATCH_ROWS:
            self._flush()

    def finish(self) -> None:
        """Writes pending images to disk; no more are added."""
        self._flush()
        self._writer.close()
        for file in (self._encoded, self._sketches, self._properties):
            file.flush()

    def properties(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Reads properties of images, one row per image.

        Args:
            columns: Names of columns of `SPOOL_SCHEMA`.
            rows: Rows to read, int64, ascending; None: all.
        """
        parts = []
        wanted = pa.ipc.IpcReadOptions(included_fields=[SPOOL_SCHEMA.get_field_index(name) for name in columns])
        reader = pa.ipc.open_file(self._properties, options=wanted)
        for number, (first, end) in enumerate(itertools.pairwise(self._firsts)):
            chosen = np.arange(first, end) if rows is None else rows[slice(*np.searchsorted(rows, [first, end]))]
            if len(chosen):
                batch = reader.get_batch(number).select(list(columns))
                parts.append(batch if len(chosen) == len(batch) else batch.take(pa.array(chosen - first)))
        return pa.Table.from_batches(parts, pa.schema([SPOOL_SCHEMA.field(name) for name in columns]))

    def sketches(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads sketches of images.

        Args:
            rows: Rows to read, int64 (rows,).

        Returns:
            uint8 (rows, 1024).
        """
        sketches = np.empty((len(rows), SKETCH_BYTES), np.uint8)
        _read(self._sketches.fileno(), rows * SKETCH_BYTES, (rows + 1) * SKETCH_BYTES, sketches.data.cast("B"))
        return sketches

    def sizes(self) -> NDArray[np.int64]:
        """Sizes of all images in bytes, int64 (images,)."""
        ends = np.frombuffer(self._ends, np.int64)
        return ends[1:] - ends[:-1]

    def encoded(self, rows: NDArray[np.int64]) -> pa.Array:
        """Reads bytes of images.

        Args:
            rows: Rows to read, int64 (rows,).

        Returns:
            Large binary (rows,).
        """
        ends = np.frombuffer(self._ends, np.int64)
        starts, stops = ends[rows], ends[rows + 1]
        offsets = np.concatenate([[0], np.cumsum(stops - starts)])
        data = pa.allocate_buffer(int(offsets[-1]))
        _read(self._encoded.fileno(), starts, stops, memoryview(data).cast("B"))
        return pa.Array.from_buffers(pa.large_binary(), len(rows), [None, pa.py_buffer(offsets), data])

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending).combine_chunks()
            self._writer.write_table(table)
            self._firsts.append(self._firsts[-1] + len(table))
            self._pending.clear()


def _read(file: int, starts: NDArray[np.int64], stops: NDArray[np.int64], target: memoryview) -> None:
    """Reads pieces of a file one after the other into a buffer; adjacent pieces are read at once."""
    firsts = np.flatnonzero(np.concatenate([[True], starts[1:] != stops[:-1]])) if len(starts) else starts
    lasts = np.append(firsts[1:], len(starts)) - 1
    at = 0
    for start, stop in zip(starts[firsts].tolist(), stops[lasts].tolist(), strict=True):
        while start < stop:
            piece = os.pread(file, min(stop - start, _MAX_READ_BYTES), start)
            target[at : at + len(piece)] = piece
            at, start = at + len(piece), start + len(piece)
