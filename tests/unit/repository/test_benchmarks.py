"""Every script in benchmarks/ starts; what it measures takes too long, or a cluster."""

import runpy
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support import ROOT

from headstart.pipelines.cluster.task_runs import TaskRun, TaskState

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoes what a script does to the search path."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_starts(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {script}")


def test_every_script_is_in_the_table() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert [script for script in SCRIPTS if f"`{script}`" not in readme] == []


def test_the_table_of_a_cluster_has_only_tasks_that_ran() -> None:
    script = runpy.run_path(str(FOLDER / "cluster_overhead.py"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ran = TaskRun("train-head", TaskState.DONE, start, start + timedelta(seconds=39))
    skipped = {name: TaskRun(name, TaskState.SKIPPED) for name in ("compare-models", "publish-model")}
    lines = script["table"]({"train-head": 14.04}, {"train-head": ran, **skipped})
    assert lines[1:] == ["train-head             14.0 s     39 s    25 s"]


def test_pods_are_drivers_and_attempts() -> None:
    pods = runpy.run_path(str(FOLDER / "cluster_overhead.py"))["pods"]

    def node(name: str | None, state: str = "SUCCEEDED") -> SimpleNamespace:
        return SimpleNamespace(display_name=name, state=state)

    assert pods([node("root"), node("root-driver"), node(None), node("a-driver"), node("a"), node("executor")]) == 3
    assert pods([node("a-driver"), node("executor"), node("executor(0)", "FAILED"), node("executor(1)")]) == 3
    # A cached task has a driver alone, and so does a condition; what is skipped has neither.
    assert pods([node("b-driver"), node("b"), node("executor", "SKIPPED"), node("c-driver", "SKIPPED")]) == 1
