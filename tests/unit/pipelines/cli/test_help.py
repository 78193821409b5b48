"""The help of every command, on a terminal of 80 columns."""

import re

import pytest
import typer
from typer.testing import CliRunner

from headstart import __version__
from headstart.components.core.backbones.table import BACKBONES
from headstart.pipelines.cli.main import app

_GROUP = typer.main.get_command(app)
COMMANDS = [
    [],
    *([name] for name in _GROUP.commands),
    *(["models", name] for name in _GROUP.commands["models"].commands),
]


def help_of(*command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    return re.sub(r"\x1b\[[\d;]*m", "", done.output)


def panels(shown: str) -> list[str]:
    return re.findall(r"^╭─ (.+?) ─", shown, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_name_is_cut_and_no_type_is_a_word_of_python(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of(*command, monkeypatch=monkeypatch)
    assert max(map(len, shown.splitlines())) <= 80
    assert re.findall(r"\w…", shown) == []
    assert re.findall(r"<\w+>|<list|\bTEXT\b", shown) == []


def test_options_of_a_run_are_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of("run", monkeypatch=monkeypatch)
    assert panels(shown) == ["Options", "Data", "Training", "Evaluation", "Publishing", "This machine"]
    assert [name for name in BACKBONES if name not in shown] == []


def test_commands_are_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    found = panels(help_of(monkeypatch=monkeypatch))
    assert found == ["Options", "Data", "Training", "Evaluation", "Publishing", "The cluster"]


def test_version() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"headstart {__version__}\n")
