import errno
import hashlib
import io
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.components.core.artifacts.history import Epoch, Step
from headstart.components.core.training.checkpoint import Checkpoint, TrainingState
from headstart.components.core.util.errors import HeadstartError

JOB = {"seed": 0, "datasets": ["a", "b"]}
EPOCH = Epoch("head", 1, 2.5, 1e-3, 0.7, 0.5, 0.6, 0.75, (Step(5e-4, 0.8, 0.25), Step(1e-3, 0.6, 0.75)))
STATE = TrainingState(
    [EPOCH],
    best=[np.float32([[1, 2]]), np.float32(3)],
    network=[np.float32([[4, 5]]), np.int64([6, 7])],
    optimizer=[np.int64(8), np.float32([9])],
)


@pytest.fixture(autouse=True)
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    caplog.set_level("INFO", "headstart")
    return caplog


def save(folder: Path, state: TrainingState = STATE, job: dict[str, Any] = JOB) -> None:
    checkpoint = Checkpoint(str(folder), "head", job)
    checkpoint.write(state)
    checkpoint.close()


def read(folder: Path, job: dict[str, Any] = JOB) -> TrainingState | None:
    return Checkpoint(str(folder), "head", job).read()


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_reads_what_was_written(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    save(tmp_path)
    found = read(tmp_path)
    assert found is not None and found.epochs == [EPOCH] and not found.finished
    for name in ("best", "network", "optimizer"):
        for one, other in zip(getattr(found, name), getattr(STATE, name), strict=True):
            assert one.dtype == other.dtype and np.array_equal(one, other)
    assert "event=checkpoint_resumed stage=head" in lines.text and "epochs=1 finished=False" in lines.text


def test_the_result_replaces_the_states_before(tmp_path: Path) -> None:
    save(tmp_path)
    before = file_in(tmp_path).stat().st_size
    save(tmp_path, TrainingState(STATE.epochs, STATE.best))
    found = read(tmp_path)
    assert found is not None and found.finished
    assert file_in(tmp_path).stat().st_size < before


def test_a_checkpoint_of_another_job_is_ignored_with_a_line_and_kept(
    tmp_path: Path, lines: pytest.LogCaptureFixture
) -> None:
    save(tmp_path)
    other = JOB | {"seed": 1}
    assert read(tmp_path, other) is None
    assert "event=checkpoint_ignored stage=head" in lines.text and "reason=" in lines.text
    save(tmp_path, job=other)
    assert len(list(tmp_path.iterdir())) == 2
    assert read(tmp_path) is not None


def test_a_file_under_another_name_is_ignored(tmp_path: Path) -> None:
    save(tmp_path / "other", job={"seed": 1})
    save(tmp_path / "own")
    file_in(tmp_path / "other").rename(file_in(tmp_path / "own"))
    assert read(tmp_path / "own") is None


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text"])
def test_a_damaged_file_is_ignored_with_a_line(tmp_path: Path, damage: str, lines: pytest.LogCaptureFixture) -> None:
    save(tmp_path)
    file = file_in(tmp_path)
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "cut": content[:-1],
            "bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "text": b"not\na checkpoint",
        }[damage]
    )
    assert read(tmp_path) is None
    assert "reason=damaged" in lines.text
    save(tmp_path)
    assert read(tmp_path) is not None


@pytest.mark.parametrize("kind", ["text", "compressed", "objects", "no arrays", "NaN", "deep"])
def test_a_file_that_somebody_else_has_sealed_is_ignored_with_a_line(
    tmp_path: Path, kind: str, lines: pytest.LogCaptureFixture
) -> None:
    save(tmp_path)
    file = file_in(tmp_path)
    with np.load(io.BytesIO(file.read_bytes().partition(b"\n")[2])) as archive:
        arrays = dict(archive)
    buffer = io.BytesIO()
    match kind:
        case "text":
            buffer.write(b"no archive")
        case "compressed":
            np.savez_compressed(buffer, **arrays | {"best.0": np.zeros(2**27, np.float32)})
        case "objects":
            np.savez(buffer, **arrays | {"best.0": np.array([{}], object)})
        case "no arrays":
            np.savez(buffer, about=arrays["about"])
        case "NaN":
            np.savez(buffer, **arrays | {"best.1": np.float32(np.nan)})
        case "deep":
            np.savez(buffer, **arrays | {"about": np.frombuffer(b"[" * 100_000 + b"]" * 100_000, np.uint8)})
    content = buffer.getvalue()
    file.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    assert read(tmp_path) is None
    assert "reason=damaged" in lines.text


def test_a_full_disk_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Any) -> None:
    save(tmp_path)
    later = TrainingState([EPOCH, EPOCH], STATE.best, STATE.network, STATE.optimizer)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        save(tmp_path, later)
    assert "event=checkpoint_not_written stage=head" in lines.text and "No space left" in lines.text
    found = read(tmp_path)
    assert found is not None and len(found.epochs) == 1, "the state before is still there"


def test_an_address_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadstartError, match="http"):
        Checkpoint("https://example.org/x", "head", JOB)


def test_of_waiting_states_only_the_newest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    from headstart.components.core.storage.stores.disk import DiskTree

    write, begun, on = DiskTree.write, Event(), Event()
    written = []

    def slow(tree: DiskTree, name: str, content: bytes) -> None:
        begun.set()
        on.wait(30)
        written.append(content)
        write(tree, name, content)

    monkeypatch.setattr(DiskTree, "write", slow)
    checkpoint = Checkpoint(str(tmp_path), "head", JOB)
    checkpoint.write(STATE)
    begun.wait(30)
    for count in (2, 3, 4):
        checkpoint.write(TrainingState([EPOCH] * count, STATE.best, STATE.network, STATE.optimizer))
    on.set()
    checkpoint.close()
    found = read(tmp_path)
    assert len(written) == 2
    assert found is not None and len(found.epochs) == 4
