"""A SavedModel in a process of its own, as in a server: its predictions and its memory."""

import contextlib
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

_SERVER = """
import os, pickle, re, sys
output = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]

def predict(files):
    predictions = model(image_bytes=tf.constant(files, tf.string))
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    with open("/proc/self/status") as status:
        memory = {name: int(size) * 1024 for name, size in re.findall(r"(VmRSS|VmHWM):\\s+(\\d+)", status.read())}
    labels, probabilities = (predictions[name].numpy() for name in ("label", "probabilities"))
    return labels.tolist(), probabilities, memory["VmRSS"], memory["VmHWM"]

while True:
    try:
        files = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    pickle.dump(predict(files), output)
    output.flush()
"""


@dataclasses.dataclass
class ServedPredictions:
    """Predictions for some files, and the memory of the process.

    Attributes:
        labels: (n,), empty for files that it cannot read.
        probabilities: (n, classes).
        bytes_held: Resident memory in bytes.
        most_bytes_held: Peak of the resident memory so far in bytes.
    """

    labels: list[bytes]
    probabilities: NDArray[np.float32]
    bytes_held: int
    most_bytes_held: int


class ServedModel:
    """A process that serves a SavedModel; it ends with the `with` block.

    Args:
        saved_model: Folder of the SavedModel.
    """

    def __init__(self, saved_model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(saved_model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "ServedModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def predict(self, files: Sequence[bytes]) -> ServedPredictions | None:
        """Predicts from the bytes of files; None if they crash the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump(list(files), self._process.stdin)
            self._process.stdin.flush()
            return ServedPredictions(*pickle.load(self._process.stdout))
        except (BrokenPipeError, EOFError):
            return None
