"""A SavedModel in a process of its own, as a server has it; what it says, and what memory it holds."""

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
import os, pickle, resource, sys
output = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]

def answered(files):
    said = model(image_bytes=tf.constant(files, tf.string))
    with open("/proc/self/statm") as memory:
        held = int(memory.read().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return said["label"].numpy().tolist(), said["probabilities"].numpy(), held, most

while True:
    try:
        files = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    pickle.dump(answered(files), output)
    output.flush()
"""


@dataclasses.dataclass
class Answered:
    """What the process says of some files, and of itself.

    Attributes:
        labels: (n,), empty for what it cannot read.
        probabilities: (n, classes).
        bytes_held: Its memory.
        most_bytes_held: The most it has had so far.
    """

    labels: list[bytes]
    probabilities: NDArray[np.float32]
    bytes_held: int
    most_bytes_held: int


class ServedModel:
    """The process; it ends with the `with` block.

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

    def ask(self, files: Sequence[bytes]) -> Answered | None:
        """Asks of files' bytes; None where they end the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump(list(files), self._process.stdin)
            self._process.stdin.flush()
            return Answered(*pickle.load(self._process.stdout))
        except (BrokenPipeError, EOFError):
            return None
