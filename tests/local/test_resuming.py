"""Training that is killed again and again gives the weights of training that is not."""

import csv
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
from support.interrupted import start_training

from headstart.components.core.network.artifact import load_model

KILLS = 10
PATIENCE_SECONDS = 120


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


def curves(model: Path) -> list[dict[str, str]]:
    """Step by step, but for how long it took."""
    with (model / "history.csv").open(newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def test_ten_kills_change_no_bit(splits: dict[str, Path], tmp_path: Path) -> None:
    """At random moments of both stages, and every other time while a checkpoint is being written."""
    moments, log, checkpoints = random.Random(0), tmp_path / "log", tmp_path / "checkpoints"
    whole = start_training(splits, tmp_path / "whole", "", tmp_path / "whole.log")
    for number in range(KILLS):
        slow = 0.5 if number % 2 else 0.0
        killed = start_training(splits, tmp_path / "killed", str(checkpoints), log, slow)
        wanted, left = epochs_in(log) + moments.randint(1, 2), unfinished(checkpoints)
        wait_for(lambda: epochs_in(log) >= wanted, killed)  # noqa: B023 - it is done with in this round
        if slow:
            wait_for(lambda: unfinished(checkpoints) > left, killed)  # noqa: B023
        else:
            time.sleep(moments.uniform(0, 0.2))
        assert killed.is_alive(), log.read_text()[-2000:]
        killed.kill()
        killed.join()
    last = start_training(splits, tmp_path / "killed", str(checkpoints), log)
    for process in (last, whole):
        process.join()
        assert process.exitcode == 0
    assert unfinished(checkpoints) >= KILLS // 2, "every other one was killed while it wrote"
    for stage in ("head", "fine_tuning"):
        assert f"event=checkpoint_resumed stage={stage}" in log.read_text()
    for name in ("head", "tuned"):
        one, other = (tmp_path / way / name for way in ("whole", "killed"))
        assert curves(one) == curves(other)
        for first, second in zip(load_model(one).get_weights(), load_model(other).get_weights(), strict=True):
            assert np.array_equal(first, second)
