"""What a command leaves behind that ends well, is killed at some moment, or is killed while it swaps its results."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import QUICK_HEAD, Started, eventually, headstart

from headstart.pipelines.local.output_folder import open_work_folder, swap_results

HEAD_ALONE = (*QUICK_HEAD, "--method", "head")
"""Fine-tuning leaves nothing that the head does not."""

PRODUCTS = ("recipe.yaml", "model", "splits", "report.html", "metrics.json")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the commands' own; its path is short, as those of sockets have to be."""
    folder = Path(tempfile.mkdtemp(prefix="left-"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_killed_run_leaves_the_results_before_and_the_next_one_tidies_up(
    pictures: Path, tmp_path: Path, temporary: Path
) -> None:
    output = tmp_path / "out"
    done = headstart("run", "--data", pictures, *HEAD_ALONE, "--output", output)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(temporary.iterdir()) == [], "a run that ends well leaves nothing there"
    before = {path.relative_to(output): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    del before[Path("run.log")]
    draws = random.Random(0)
    left = 0
    for _ in range(3):
        run = Started("run", "--data", pictures, *HEAD_ALONE, "--seed", "1", "--output", output)
        run.wait_for_line(f"] {draws.choice(['download-dataset', 'train-head', 'evaluate-model'])} ...")
        time.sleep(draws.uniform(0, 1))
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait(30)
        assert eventually(lambda run=run: not run.survivors())  # type: ignore[misc]
        left += len(list(temporary.iterdir()))
    assert left, "no run was killed while it had temporary files"
    # The next run fails in its first tasks; what was left before goes all the same.
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "readme.txt").write_text("no picture")
    failed = headstart("run", "--data", tmp_path / "none", *HEAD_ALONE, "--output", output)
    assert failed.returncode == 1
    assert list(temporary.iterdir()) == [] and not (output / ".work").exists()
    after = {path.relative_to(output): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    del after[Path("run.log")]
    assert after == before


SWAPS = """
import json, os, signal, sys
from pathlib import Path
from headstart.pipelines.local import output_folder

root, missing = Path(sys.argv[1]), sys.argv[2:]
names = ["recipe.yaml", "model", "splits", "report.html", "metrics.json"]
files = {"recipe.yaml": "", "model": "file", "splits": "file", "report.html": "", "metrics.json": ""}
rename = Path.rename

def write(folder, text, left_out=()):
    for name, inside in files.items():
        if name not in left_out:
            path = folder / name / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(text))

def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}

def in_a_process_killed_before_move(number, work):
    def kill_in_time(path, target):
        nonlocal number
        number -= 1
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    if not (pid := os.fork()):
        Path.rename = kill_in_time
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

for moves in range(15):
    for later in range(15):
        output = root / f"{moves} {later}"
        write(output, "old", missing)
        (output / "notes.txt").write_text("mine")
        before = contents(output)

        def swap():
            with output_folder.open_work_folder(output) as work:
                write(work / "ready", "new")
                output_folder.swap_results(work / "ready", output, work, names)

        def recover():
            with output_folder.open_work_folder(output):
                pass

        killed = in_a_process_killed_before_move(moves, swap)
        again = killed and in_a_process_killed_before_move(later, recover)
        recover()
        print(json.dumps([moves, killed, again, before, contents(output)]))
        if not again:
            break
    if not killed:
        break
"""


@pytest.mark.parametrize("missing", [[], ["splits"], ["metrics.json"], ["recipe.yaml", "model"]])
def test_results_are_those_before_wherever_swap_and_recovery_are_killed(tmp_path: Path, missing: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWAPS, tmp_path, *missing], capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    old = 5 - len(missing)
    # The swap was killed before each of its moves.
    assert {moves for moves, killed, *_ in rows if killed} == set(range(old + 5))
    assert sum(again for _, _, again, *_ in rows) > old
    for moves, killed, _, before, after in rows:
        new = dict.fromkeys(("recipe.yaml", "model/file", "splits/file", "report.html", "metrics.json"), '"new"')
        assert after == (before if killed else new | {"notes.txt": "mine"}), moves


def test_results_are_those_before_where_a_new_one_cannot_be_moved(tmp_path: Path) -> None:
    names = ["recipe.yaml", "report.html", "metrics.json"]
    for name in names[1:]:
        (tmp_path / name).write_text("old")
    with pytest.raises(FileNotFoundError), open_work_folder(tmp_path) as work:
        (work / "ready").mkdir()
        for name in names[:-1]:
            (work / "ready" / name).write_text("new")
        swap_results(work / "ready", tmp_path, work, names)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names[1:], "old")


def test_folder_of_a_command_that_lives_stays_and_others_go(temporary: Path) -> None:
    code = (
        "import tempfile, sys; from headstart.pipelines.local.temporary_folder import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    tempfile.mkdtemp(); print(folder, flush=True); sys.stdin.read()"
    )

    def start() -> tuple["subprocess.Popen[str]", Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    killed, lost = start()
    killed.kill()
    killed.communicate()
    (temporary / "headstart-run-file").write_text("no folder")
    assert list(lost.iterdir())
    first, held = start()
    assert held.parent == temporary and not lost.exists()
    second, other = start()
    assert list(held.iterdir()) and list(other.iterdir())
    for process, folder in ((first, held), (second, other)):
        process.communicate("")
        assert process.returncode == 0 and not folder.exists()
    assert [path.name for path in temporary.iterdir()] == ["headstart-run-file"]


def test_temporary_folder_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tempfile; tempfile.tempdir = '/proc/none'\n"
         "from headstart.pipelines.local.temporary_folder import temporary_folder\n"
         "with temporary_folder(): pass"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert "HeadstartError: the temporary folder '/proc/none' cannot be written to (" in done.stderr
