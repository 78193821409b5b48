"""Where training stands after each epoch, kept in a folder or a store so that a rerun goes on from there."""

import dataclasses
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.history import Epoch, steps_of, table_of
from headstart.components.core.storage.manifests import parse_json
from headstart.components.core.storage.stores import NotFound, open_tree
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event

FORMAT = "headstart-checkpoint/2"

_ARRAYS = ("best", "network", "optimizer")

Arrays = Sequence[NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class State:
    """Where training stands between two epochs.

    Attributes:
        epochs: Those that are done.
        best: Trainable variables after the best of them.
        network: Of the network, whatever training changes: trainable variables and states of random generators;
            empty at the end.
        optimizer: The optimizer's variables; empty at the end.
    """

    epochs: list[Epoch]
    best: Arrays
    network: Arrays = ()
    optimizer: Arrays = ()

    @property
    def finished(self) -> bool:
        """Whether training has ended, so that only its result is left."""
        return not self.network


class Checkpoint:
    """The newest state of one piece of work, as one file below an address.

    Its name has a digest of whatever the work is computed from: what differs in any of that is other work, and has a
    file of its own. The file is the SHA-256 of the rest in hexadecimal, a line feed, and a NumPy archive without
    pickles. It is replaced whole or not at all.

    Writing goes on in the background. Where it fails, a line says so and training continues without: a store that is
    away for an hour costs nothing then unless training is interrupted in that hour. At the end the file shrinks to
    the result and stays, for whatever may still go wrong while the model is stored.

    Args:
        uri: A folder, or a gs:// or s3:// address of one.
        stage: Beginning of the file's name.
        work: What the work is computed from, as JSON has it.

    Attributes:
        seconds: That the epochs took which `read` has found; 0 before.

    Raises:
        HeadstartError: The address is of another kind, or the environment's credentials cannot be used.
    """

    def __init__(self, uri: str, stage: str, work: Mapping[str, Any]) -> None:
        self._tree = open_tree(uri)
        self.seconds = 0.0
        self._stage = stage
        self._key = hashlib.sha256(json.dumps([FORMAT, work], sort_keys=True).encode()).hexdigest()
        self._name = f"{stage}-{self._key[:16]}.checkpoint"
        self._lock = threading.Lock()
        self._newest: bytes | None = None
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._writing: list[Future[None]] = []

    def read(self) -> State | None:
        """The state to go on from; None where there is none, which a line explains if there are other files.

        Raises:
            HeadstartError: The folder or store cannot be read.
        """
        try:
            content, _ = self._tree.read(self._name)
        except NotFound:
            others = [name for name in self._tree.names() if name.startswith(f"{self._stage}-")]
            if others:
                self._say("ignored", found=len(others), reason="of other data, settings, seed, weights or versions")
            return None
        state = _unpacked(content, self._key)
        if state is None:
            self._say("ignored", file=self._name, reason="damaged")
        else:
            self.seconds = sum(epoch.seconds for epoch in state.epochs)
            self._say("resumed", file=self._name, epochs=len(state.epochs), finished=state.finished)
        return state

    def write(self, state: State) -> None:
        """Writes a state in the background; of several that wait for a slow store, only the newest."""
        content = _packed(state, self._key)
        with self._lock:
            self._newest = content
        self._writing.append(self._pool.submit(self._write_newest))

    def close(self) -> None:
        """Waits until the last state is written, or cannot be."""
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
            self._say("not_written", reason=error)

    def _say(self, what: str, **fields: object) -> None:
        event(f"checkpoint_{what}", stage=self._stage, address=self._tree.address, **fields)


def _packed(state: State, key: str) -> bytes:
    about = {"key": key, "epochs": [dataclasses.asdict(dataclasses.replace(each, steps=())) for each in state.epochs]}
    arrays: dict[str, NDArray[Any]] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {f"steps.{number}": table_of(epoch.steps) for number, epoch in enumerate(state.epochs)}
    for name in _ARRAYS:
        arrays |= {f"{name}.{number}": value for number, value in enumerate(getattr(state, name))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _unpacked(content: bytes, key: str) -> State | None:
    """The state; None if the file is damaged or belongs to other work.

    Whoever can write the file can write its digest, too, so nothing of it is taken on trust.
    """
    digest, _, content = content.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    try:
        return _read(content, key)
    except Exception as error:
        # Whatever NumPy, Zip and JSON say of an archive that `_packed` has not made.
        event("damaged_checkpoint", reason=first_line(error))
        return None


def _read(content: bytes, key: str) -> State | None:
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
            raise ValueError("it is compressed")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        about = parse_json(archive["about"].tobytes())
        if about["key"] != key:
            return None
        epochs = [
            Epoch(**{**each, "steps": steps_of(steps)})
            for each, steps in zip(about["epochs"], _numbered(archive, "steps"), strict=True)
        ]
        state = State(epochs, **{name: _numbered(archive, name) for name in _ARRAYS})
    for each in (*state.best, *state.network, *state.optimizer):
        if each.dtype.kind == "f" and not np.isfinite(each).all():
            raise ValueError("it has NaN or infinite values")
    return state


def _numbered(archive: Mapping[str, NDArray[Any]], name: str) -> Arrays:
    count = sum(key.startswith(f"{name}.") for key in archive)
    return [archive[f"{name}.{number}"] for number in range(count)]
