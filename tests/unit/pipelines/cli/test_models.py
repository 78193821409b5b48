"""`headstart models`: what is published, for eyes and for programs."""

import json
import re
from pathlib import Path

import pytest
from support.published import version_folder
from typer.testing import CliRunner, Result

from headstart.components.core.registry import registry
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app


def models(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    uri = str(tmp_path / "published")
    for seed in range(2):
        registry.publish_folder(version_folder(tmp_path / str(seed), seed), uri, f"run {seed}")
    return uri


def test_programs_get_json(uri: str) -> None:
    listed = json.loads(models("list", uri).output)
    assert [each["in_use"] for each in listed] == [False, True]
    assert [each["facts"]["run"] for each in listed] == ["run 0", "run 1"]
    shown = json.loads(models("show", uri).output)
    assert [each["version"] for each in shown["history"]] == [each["version"] for each in listed]
    assert shown["version"]["facts"]["data"] == {"train": "train1", "validation": "validation1", "test": "test"}
    assert "model/model.keras" in shown["version"]["files"]


def test_a_terminal_gets_a_table(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    first, second = (each.version for each in registry.list_versions(uri).versions)
    listed = models("list", uri).output
    assert listed.index(second) < listed.index("yes") < listed.index(first)
    assert "0.850 to 0.940" in listed
    shown = models("show", uri).output
    assert f"{uri}/{second}/model" in shown
    assert shown.index("run 1") < shown.index("run 0")


def test_a_damaged_version_is_one_row_among_the_others(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (each.version for each in registry.list_versions(uri).versions)
    Path(uri, second, "version.json").unlink()
    whole, damaged = json.loads(models("list", uri).output)
    assert (whole["version"], whole["in_use"]) == (first, False)
    assert (damaged["version"], damaged["in_use"]) == (second, True)
    assert damaged["damaged"].endswith(
        "version.json is missing; publish the model again, or roll back to another version"
    )
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert re.search(rf"{second} +yes +damaged", re.sub(r"\x1b\[[\d;]*m", "", models("list", uri).output))


def test_rollback_says_what_it_did(uri: str) -> None:
    first, second = (each.version for each in registry.list_versions(uri).versions)
    assert models("rollback", uri).output == f"{first} is in use in the place of {second}: {uri}/{first}\n"
    assert models("rollback", uri, second).output == f"{second} is in use in the place of {first}: {uri}/{second}\n"


def test_an_empty_place_is_none(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=rf"no model is published at {tmp_path}; check the address, or publish"):
        models("list", str(tmp_path))
    assert json.loads(models("show", str(tmp_path)).output) is None
    with pytest.raises(HeadstartError, match=r"nothing is published at .*; check the address"):
        models("rollback", str(tmp_path))


def test_class_of_a_model_from_elsewhere_commands_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "published")
    name = "\x1b[2J\x9b31m\N{RIGHT-TO-LEFT OVERRIDE}dog"
    registry.publish_folder(version_folder(tmp_path / "0", classes=("cat", name)), uri, f"run {name}")
    asked = [models("list", uri).output, models("show", uri).output]
    assert json.loads(asked[0])[0]["facts"]["classes"] == ["cat", name]
    monkeypatch.setenv("FORCE_COLOR", "1")
    asked += [models("list", uri).output, models("show", uri).output]
    for each in asked:
        assert "\x1b[2J" not in each and "\x9b" not in each and "\N{RIGHT-TO-LEFT OVERRIDE}" not in each
        assert "dog" in each
