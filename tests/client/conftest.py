"""A KFP server on loopback, and the command line in this process."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.kfp_api import KfpApi, kfp_serving

from headstart.pipelines.cli import main
from headstart.pipelines.cluster import kept_logs

Command = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but a test's own, no store that can be reached, and a folder without any file of settings."""
    for name in list(os.environ):
        if name.startswith(("HEADSTART_", "KF_PIPELINES_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setattr(kept_logs, "PATIENCE_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def api() -> Iterator[KfpApi]:
    with kfp_serving() as server:
        yield server


@pytest.fixture
def headstart(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command line to its end: its exit status, and what it wrote on both streams."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["headstart", *map(str, arguments)])
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            try:
                main.main()
            except SystemExit as end:
                return int(end.code or 0), written.getvalue()
        return 0, written.getvalue()

    return run


@pytest.fixture
def on_cluster(headstart: Command, api: KfpApi) -> Command:
    """The same with the server's address, and looks at runs that follow one another quickly."""

    def run(command: str, *arguments: str | Path) -> tuple[int, str]:
        quick = () if command in ("config", "cancel") else ("--interval", "0.02")
        return headstart(command, *arguments, "--host", api.address, *quick)

    return run
