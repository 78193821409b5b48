"""Runs that end before their time leave no process behind, and nothing that looks finished."""

import json
import os
import signal
from pathlib import Path

import pytest
from support.commands import QUICK, QUICK_HEAD, Started, eventually, headstart

pytestmark = pytest.mark.slow

TASKS = ("download-dataset", "split-dataset", "train-head", "fine-tune", "evaluate-model")
HEAD_ALONE = (*QUICK_HEAD, "--method", "head")
"""For what happens without fine-tuning too: that would only come before it."""

FINISHED = ("metrics.json", "model", "report.html", "predictions.parquet")


def kill_at(task: str, number: int, pictures: Path, output: Path) -> Started:
    run = Started("run", "--data", pictures, *(QUICK if task == "fine-tune" else HEAD_ALONE), "--output", output)
    run.wait_for_line(f"] {task} ...")
    os.kill(run.process.pid, number)
    run.process.wait(30)
    return run


@pytest.mark.parametrize("task", TASKS)
def test_sigterm_at_any_task(task: str, pictures: Path, tmp_path: Path) -> None:
    run = kill_at(task, signal.SIGTERM, pictures, tmp_path / "out")
    assert run.process.returncode == 128 + signal.SIGTERM
    assert run.survivors() == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"run.log"}


def test_ctrl_c(pictures: Path, tmp_path: Path) -> None:
    run = kill_at("train-head", signal.SIGINT, pictures, tmp_path / "out")
    assert run.process.returncode == 128 + signal.SIGINT
    assert run.survivors() == []


@pytest.mark.parametrize("task", ["download-dataset", "train-head", "evaluate-model"])
def test_sigkill_and_the_run_after_it(task: str, pictures: Path, tmp_path: Path) -> None:
    run = kill_at(task, signal.SIGKILL, pictures, tmp_path)
    assert eventually(lambda: not run.survivors()), "a step outlived the command"
    assert not [name for name in FINISHED if (tmp_path / name).exists()]
    if task == "evaluate-model":
        done = headstart("run", "--data", pictures, *HEAD_ALONE, "--output", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((tmp_path / "metrics.json").read_text())["test"]["images"] == 20
        assert not (tmp_path / ".work").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_search_for_a_learning_rate_leaves_nothing(
    number: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, output = tmp_path / "temporary", tmp_path / "rate"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    run = Started("learning-rate", "--data", pictures, *QUICK, "--steps", "100000", "--output", output)
    run.wait_for_line("] learning-rate ...")
    os.kill(run.process.pid, number)
    told, _ = run.process.communicate(timeout=30)
    assert f"interrupted by {signal.Signals(number).name}; nothing was added to {output}" in told
    assert run.process.returncode == 128 + number
    assert run.survivors() == []
    assert list(temporary.iterdir()) == [] and list(output.iterdir()) == []


def test_two_runs_do_not_share_an_output_folder(pictures: Path, tmp_path: Path) -> None:
    first = Started("run", "--data", pictures, *HEAD_ALONE, "--output", tmp_path)
    first.wait_for_line("] train-head ...")
    second = headstart("run", "--data", pictures, *HEAD_ALONE, "--output", tmp_path)
    assert second.returncode == 1
    assert "is in use by another run" in second.stderr
    first.process.terminate()
    first.process.wait(30)
