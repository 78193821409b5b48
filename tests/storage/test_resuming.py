"""Training that is killed again and again gives the weights of training that is not."""

import csv
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from support.faults import Fault, Request
from support.interrupted import start_training
from support.stores import Stored

from headstart.components.core.networks.saving import load_model
from headstart.components.core.storage.stores import open_tree

KILLS = 10
EPOCH_SECONDS = 0.5
PATIENCE_SECONDS = 120


class Uploads:
    """Uploads to a store, of which the next one can be halted: half of it gets there, after its sender has gone.

    Attributes:
        halted: Whether it is.
        cut: Those that were, and have ended so.
    """

    def __init__(self, store: Stored) -> None:
        self.halted, self._gone = Event(), Event()
        self._halting = False
        self.cut = 0
        store.proxy.spoil(self._halt, only=lambda request: request.method in ("PUT", "POST"))

    def _halt(self, request: Request) -> Fault | None:
        if not self._halting:
            return None
        self._halting = False
        self.halted.set()
        self._gone.wait(PATIENCE_SECONDS)
        self.cut += 1
        return Fault("cut")

    def halt_the_next(self) -> None:
        self.halted, self._gone = Event(), Event()
        self._halting = True

    def go_on(self) -> None:
        self._halting = False
        self._gone.set()


def wait_for(what: Callable[[], bool], process: ForkServerProcess) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while process.is_alive() and not what():
        assert time.monotonic() < end
        time.sleep(0.0005)


def epochs_in(log: Path) -> int:
    return log.read_text().count("unit=epochs") if log.exists() else 0


def unfinished(folder: Path) -> int:
    """Files that are being written, and those that killed writers have left."""
    return len(list(folder.glob(".*.partial")))


def losses(model: Path) -> list[str]:
    with (model / "history.csv").open(newline="") as file:
        return [row["loss"] + row["validation_loss"] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_ten_kills_change_no_bit(splits: dict[str, Path], tmp_path: Path, minio: Stored) -> None:
    """At random moments of both stages, and every other time while a checkpoint is written or uploaded.

    Those of the head are on disk, those of fine-tuning in a store. Epochs take their time: the first kills find the
    head at work and leave a checkpoint, also where this process sees it late, and the second half finds fine-tuning.
    """
    moments, log, folder = random.Random(0), tmp_path / "log", tmp_path / "checkpoints"
    checkpoints = {"head": str(folder), "fine_tuning": minio.uri("checkpoints")}
    settings, uploads = minio.server.environment(minio.proxy.address), Uploads(minio)
    whole = start_training(splits, tmp_path / "whole", tmp_path / "whole.log")
    for number in range(KILLS):
        slow = 0.0 if number % 2 else 0.5
        killed = start_training(splits, tmp_path / "killed", log, checkpoints, settings, slow, EPOCH_SECONDS)
        if number >= KILLS // 2:
            wait_for((tmp_path / "killed" / "head" / "model.json").exists, killed)
        wanted, left = epochs_in(log) + moments.randint(2, 3), unfinished(folder)
        wait_for(lambda: epochs_in(log) >= wanted, killed)  # noqa: B023 - it is done with in this round
        if slow:
            uploads.halt_the_next()
            wait_for(lambda: unfinished(folder) > left or uploads.halted.is_set(), killed)  # noqa: B023
        else:
            time.sleep(moments.uniform(0, EPOCH_SECONDS))
        assert killed.is_alive(), log.read_text()[-2000:]
        killed.kill()
        killed.join()
        uploads.go_on()
    last = start_training(splits, tmp_path / "killed", log, checkpoints, settings)
    for process in (last, whole):
        process.join()
        assert process.exitcode == 0
    assert unfinished(folder) + uploads.cut >= KILLS // 2, "every other one was killed while it wrote"
    assert unfinished(folder) and uploads.cut
    assert len(open_tree(checkpoints["fine_tuning"]).names()) == 1
    for stage in ("head", "fine_tuning"):
        assert f"event=checkpoint_resumed stage={stage}" in log.read_text()
    for name in ("head", "tuned"):
        one, other = (tmp_path / way / name for way in ("whole", "killed"))
        assert losses(one) == losses(other)
        for first, second in zip(load_model(one).get_weights(), load_model(other).get_weights(), strict=True):
            assert np.array_equal(first, second)
