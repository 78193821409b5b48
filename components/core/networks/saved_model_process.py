"""Script that runs a SavedModel in a process with TensorFlow, but without this package.

    python -I -S saved_model_process.py < order

The order is a line of JSON: `path`, folders of packages; `package`, the package to hide; `saved_model`; `shards`,
Parquet files of images; `rows`, rows to take of them, ascending; `batch`; `predictions`, the Parquet file to write.
Standard input stays open as long as the parent lives; when it closes, this process ends.
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
"""Option of Linux' `prctl` (`sys/prctl.h`) for the signal that a process gets when its parent ends."""


def end_with_parent() -> None:
    """Makes this process end when standard input closes, and on Linux at once when its parent ends.

    While TensorFlow loads a model, no other thread runs for seconds; the kernel's signal does not wait for that.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class HiddenPackage(importlib.abc.MetaPathFinder):
    """Import finder that makes a package look as if it were not installed.

    Args:
        package: Name of the package.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuses the package and its modules; leaves all others to the next finder."""
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def read_images(shards: list[str], rows: list[int], batch: int) -> Iterator[tuple[list[str], list[bytes]]]:
    """Yields ids and encoded images of the wanted rows, batch by batch."""
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


def predict(order: dict[str, Any]) -> None:
    """Predicts the images of the order with the SavedModel and writes the predictions.

    The size of each batch goes to standard output when it is done.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf

    signature = tf.saved_model.load(order["saved_model"]).signatures["serving_default"]
    columns = {"id": pa.string(), "label": pa.string(), "probabilities": pa.list_(pa.float32())}
    more = {"unfamiliarity": pa.float32(), "unfamiliar": pa.bool_()}
    more = {name: kind for name, kind in more.items() if name in signature.structured_outputs}
    schema = pa.schema(columns | more)
    with pq.ParquetWriter(order["predictions"], schema) as file:
        for ids, content in read_images(order["shards"], order["rows"], order["batch"]):
            outputs = signature(image_bytes=tf.constant(content))
            labels = [label.decode() for label in outputs["label"].numpy()]
            values = {"id": ids, "label": labels, "probabilities": list(outputs["probabilities"].numpy())}
            file.write_table(pa.table(values | {name: outputs[name].numpy() for name in more}, schema))
            print(len(ids), flush=True)


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    end_with_parent()
    sys.meta_path.insert(0, HiddenPackage(order["package"]))
    sys.path.extend(order["path"])
    predict(order)
