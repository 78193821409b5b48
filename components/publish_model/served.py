"""The other side of the parity gate: a process that has TensorFlow and the published files, and nothing of ours.

    python -I -S served.py < order

The order is a line of JSON: `path`, where packages are; `package`, the one that must not be there; `saved_model`;
`shards`, Parquet files of pictures; `rows`, which of their rows to take, rising; `batch`; `answers`, the Parquet file
to write. Standard input stays open for as long as the parent lives: when it closes, this process ends.
"""

import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_PR_SET_PDEATHSIG = 1
"""From Linux' `sys/prctl.h`: the signal that a process gets when its parent ends."""


def end_with_parent() -> None:
    """Makes this process end when standard input closes, and on Linux at once when its parent ends.

    While TensorFlow loads a model no other thread runs for seconds; the kernel's signal does not wait for that.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Without(importlib.abc.MetaPathFinder):
    """Makes a package look as if it were not installed.

    Args:
        package: Its name.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuses the package and what lies in it; leaves the rest to others."""
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def pictures(shards: list[str], rows: list[int], batch: int) -> Iterator[tuple[list[str], list[bytes]]]:
    """Yields ids and bytes of the wanted rows, batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted, first = iter(rows), 0
    row = next(wanted, None)
    for shard in shards:
        with pq.ParquetFile(shard, buffer_size=2**20, pre_buffer=False) as file:
            for part in file.iter_batches(batch_size=batch, columns=["id", "image"]):
                places = []
                while row is not None and row < first + len(part):
                    places.append(row - first)
                    row = next(wanted, None)
                first += len(part)
                if places:
                    taken = part.take(pa.array(places))
                    yield taken["id"].to_pylist(), [image["bytes"] for image in taken["image"].to_pylist()]


def answer(order: dict[str, Any]) -> None:
    """Asks the SavedModel about every picture of the order, and writes what it says."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf

    ask = tf.saved_model.load(order["saved_model"]).signatures["serving_default"]
    schema = pa.schema({"id": pa.string(), "label": pa.string(), "probabilities": pa.list_(pa.float32())})
    with pq.ParquetWriter(order["answers"], schema) as file:
        for ids, content in pictures(order["shards"], order["rows"], order["batch"]):
            said = ask(image_bytes=tf.constant(content))
            labels = [label.decode() for label in said["label"].numpy()]
            columns = {"id": ids, "label": labels, "probabilities": list(said["probabilities"].numpy())}
            file.write_table(pa.table(columns, schema))


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    end_with_parent()
    sys.meta_path.insert(0, Without(given["package"]))
    sys.path.extend(given["path"])
    answer(given)
