"""Checkpoints: the training state after each epoch, kept in a folder or a store so that a rerun resumes from it."""

import dataclasses
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.history import Epoch, array_to_steps, steps_to_array
from headstart.components.core.storage.manifests import parse_json
from headstart.components.core.storage.stores import NotFound, open_tree
from headstart.components.core.training.variables import Arrays
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event

FORMAT = "headstart-checkpoint/2"

_ARRAYS = ("best", "network", "optimizer")


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """State of training between two epochs.

    Attributes:
        epochs: Epochs so far.
        best: Trainable variables after the best epoch.
        network: Variables of the network that training changes: trainable weights and states of random generators;
            empty once training has finished.
        optimizer: Variables of the optimizer; empty once training has finished.
    """

    epochs: list[Epoch]
    best: Arrays
    network: Arrays = ()
    optimizer: Arrays = ()

    @property
    def finished(self) -> bool:
        """Whether training has finished, so that only its result is kept."""
        return not self.network


class Checkpoint:
    """The newest state of one training job, as one file in a folder or store.

    The file's name contains a digest of everything that the job's result depends on. A job that differs in any of
    that has a file of its own. The file is the SHA-256 of the rest in hexadecimal, a line feed, and a NumPy archive
    without pickles. It is replaced atomically.

    Writing happens in the background. If it fails, a log line says so and training continues: an hour without the
    store costs nothing unless training is interrupted within that hour. At the end the file shrinks to the result. It
    is kept in case that storing the model fails.

    Args:
        uri: Folder, or gs:// or s3:// address of one.
        phase: Training phase, with which the file's name begins.
        job: Everything that the job's result depends on, in types of JSON.

    Attributes:
        seconds: Duration in seconds of the epochs that `read` has found; 0 before.

    Raises:
        HeadstartError: If the address is of another kind, or the environment's credentials cannot be used.
    """

    def __init__(self, uri: str, phase: str, job: Mapping[str, Any]) -> None:
        self._tree = open_tree(uri)
        self.seconds = 0.0
        self._phase = phase
        self._key = hashlib.sha256(json.dumps([FORMAT, job], sort_keys=True).encode()).hexdigest()
        self._name = f"{phase}-{self._key[:16]}.checkpoint"
        self._lock = threading.Lock()
        self._newest: bytes | None = None
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._writing: list[Future[None]] = []

    def read(self) -> TrainingState | None:
        """Reads the state to resume from.

        Returns:
            The state; None if there is none. A log line tells if there are only files of other jobs.

        Raises:
            HeadstartError: If the folder or store cannot be read.
        """
        try:
            content, _ = self._tree.read(self._name)
        except NotFound:
            others = [name for name in self._tree.names() if name.startswith(f"{self._phase}-")]
            if others:
                self._log("ignored", found=len(others), reason="of other data, settings, seed, weights or versions")
            return None
        state = _unpack(content, self._key)
        if state is None:
            self._log("ignored", file=self._name, reason="damaged")
        else:
            self.seconds = sum(epoch.seconds for epoch in state.epochs)
            self._log("resumed", file=self._name, epochs=len(state.epochs), finished=state.finished)
        return state

    def write(self, state: TrainingState) -> None:
        """Writes a state in the background; if several wait for a slow store, only the newest is written."""
        content = _pack(state, self._key)
        with self._lock:
            self._newest = content
        self._writing.append(self._pool.submit(self._write_newest))

    def close(self) -> None:
        """Waits until the last state is written or has failed to be."""
        self._pool.shutdown()
        for each in self._writing:
            each.result()

    def _write_newest(self) -> None:
        with self._lock:
            content, self._newest = self._newest, None
        if content is None:
            return
        try:
            self._tree.write(self._name, content)
        except HeadstartError as error:
            self._log("not_written", reason=error)

    def _log(self, outcome: str, **fields: object) -> None:
        event(f"checkpoint_{outcome}", stage=self._phase, address=self._tree.address, **fields)


def _pack(state: TrainingState, key: str) -> bytes:
    about = {"key": key, "epochs": [dataclasses.asdict(dataclasses.replace(each, steps=())) for each in state.epochs]}
    arrays: dict[str, NDArray[Any]] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {f"steps.{number}": steps_to_array(epoch.steps) for number, epoch in enumerate(state.epochs)}
    for name in _ARRAYS:
        arrays |= {f"{name}.{number}": value for number, value in enumerate(getattr(state, name))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _unpack(content: bytes, key: str) -> TrainingState | None:
    """Reads a state; None if the file is damaged or belongs to another job.

    Whoever can write the file can also write its digest, so the content is checked like any foreign file.
    """
    digest, _, content = content.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    try:
        return _parse(content, key)
    except Exception as error:
        # NumPy, zipfile and JSON raise many kinds of errors for an archive that is not ours.
        event("damaged_checkpoint", reason=first_line(error))
        return None


def _parse(content: bytes, key: str) -> TrainingState | None:
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
            raise ValueError("it is compressed")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        about = parse_json(archive["about"].tobytes())
        if about["key"] != key:
            return None
        epochs = [
            Epoch(**{**each, "steps": array_to_steps(steps)})
            for each, steps in zip(about["epochs"], _read_arrays(archive, "steps"), strict=True)
        ]
        state = TrainingState(epochs, **{name: _read_arrays(archive, name) for name in _ARRAYS})
    for each in (*state.best, *state.network, *state.optimizer):
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            raise ValueError("it has NaN or infinite values")
    return state


def _read_arrays(archive: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    count = sum(key.startswith(f"{name}.") for key in archive)
    return [archive[f"{name}.{number}"] for number in range(count)]
