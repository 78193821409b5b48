"""What the classes are is told before anything is trained, on a terminal and elsewhere."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import headstart

CLASSES = "2 classes: 三毛\u3000猫 (6), 柴\u3000犬\\x1b[31m (6); from the folders of "
# More than there are: the run ends with the split, before anything is trained.
# Where classes may be left out, counts are checked after the images have been read.
TOO_MANY = ("--counts", "100,10,10", "--tiny-classes", "leave_out", "--backbone", "sketchnet")


@pytest.fixture
def data(pictures: Path, tmp_path: Path) -> Path:
    for kind, name in (("cat", "三毛\u3000猫"), ("dog", "柴\u3000犬\x1b[31m")):
        for day, numbers in (("monday", range(1, 5)), ("tuesday", range(5, 7))):
            place = tmp_path / "pets" / name / day
            place.mkdir(parents=True)
            for number in numbers:
                shutil.copy(pictures / f"{kind}.{number}.jpg", place)
    return tmp_path / "pets"


def test_classes_are_told_before_training_where_there_is_no_terminal(data: Path, tmp_path: Path) -> None:
    done = headstart("run", "--data", data, "--output", tmp_path / "out", *TOO_MANY)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert f"{CLASSES}{data}" in lines
    assert any(line.startswith("note: folders below are no classes: monday, tuesday") for line in lines)
    assert "\x1b" not in done.stdout + done.stderr
    assert CLASSES.partition(";")[0].replace("\\", "\\\\") in (tmp_path / "out" / "run.log").read_text(
        encoding="utf-8"
    )


def test_classes_are_told_on_a_terminal(data: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        Path(sys.executable).parent / "headstart",
        "run",
        "--data",
        data,
        "--output",
        tmp_path / "out",
        *TOO_MANY,
    ]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=os.environ | {"COLUMNS": "300"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # Linux says so when the other side is closed.
    finally:
        os.close(ours)
    assert process.wait() == 1
    assert f"{CLASSES}{data}" in shown.decode()


def test_a_question_names_both_readings_and_an_option_answers_it(data: Path, tmp_path: Path) -> None:
    for kind in data.iterdir():
        (kind / "monday").rename(kind / f"{kind.name[0]} indoors")
        (kind / "tuesday").rename(kind / f"{kind.name[0]} outdoors")
    arguments = ("run", "--data", data, "--output", tmp_path / "out", *TOO_MANY)
    asked = headstart(*arguments)
    assert asked.returncode == 1
    assert "--class-level 1 takes 2 classes: 三毛\u3000猫 (6)" in asked.stderr
    assert "--class-level 2 takes 4 classes: 三 indoors (4), 三 outdoors (2)" in asked.stderr
    answered = headstart(*arguments, "--class-level", "2")
    assert "4 classes: 三 indoors (4), 三 outdoors (2)" in answered.stdout
