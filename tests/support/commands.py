"""The command line as a user starts it: in a process of its own, with every process it starts accounted for."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from headstart.pipelines.cli import main

QUICK_HEAD = ("--backbone", "sketchnet", "--counts", "40,10,10", "--set", "head.epochs=3")
QUICK = (*QUICK_HEAD, "--set", "fine_tuning.epochs=1")

_MARK = "HEADSTART_TEST_PROCESS"


def headstart(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `headstart` to its end."""
    return subprocess.run(
        [Path(sys.executable).parent / "headstart", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
    )


def headstart_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `headstart` to its end in this process: a second sooner, for what it says before any work begins."""
    out, err = io.StringIO(), io.StringIO()
    command = ["headstart", *map(str, arguments)]
    status = 0
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main()
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


class Started:
    """A `headstart` that is under way."""

    def __init__(self, *arguments: str | Path) -> None:
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "headstart", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {_MARK: self._mark, "PYTHONUNBUFFERED": "1"},
            # As on a terminal: what a shell runs in the background ignores Ctrl-C, and the tests may run so.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_for_line(self, text: str) -> None:
        """Reads the output up to a line that holds `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"{text!r} never came")

    def survivors(self) -> list[int]:
        """Processes of this run that are alive, whoever their parent is by now."""
        mark = f"{_MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
