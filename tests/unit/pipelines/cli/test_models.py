"""`headstart models`: what is published, for eyes and for programs."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from support.published import version_folder
from typer.testing import CliRunner, Result

from headstart.components.core.registry import registry
from headstart.components.core.registry.deployments import EndpointCheck, record_deployment
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


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


def test_checks_of_endpoints_are_shown(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    second = registry.read_champion(uri).version.version
    for day in (1, 2):
        check = EndpointCheck(f"2026-03-0{day}T10:00:00+00:00", "http://pets.serving.svc/", 8, 8, 2e-7, 0.01)
        record_deployment(uri, second, check)
    assert [len(each["deployments"]) for each in json.loads(models("list", uri).output)] == [0, 2]
    shown = json.loads(models("show", uri).output)["deployments"]
    assert [each["when"] for each in shown] == ["2026-03-01T10:00:00+00:00", "2026-03-02T10:00:00+00:00"]
    assert shown[-1] == dataclasses.asdict(check)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    line = "2026-03-02 10:00:00 http://pets.serving.svc/: 8 of 8 drawn images labelled alike, probabilities within 2"
    assert f"{second} was deployed: {line}" in plain(models("list", uri).output)
    assert f"deployed {line}" in plain(models("show", uri).output)
    Path(uri, second, "deployments.json").write_text("{}")
    for command in ("list", "show"):
        shown = plain(models(command, uri).output)
        assert f"{second}/deployments.json is not in the format headstart-deployments/1" in shown
        assert second in shown


def test_rollback_that_cannot_be_deployed_is_not_made(uri: str) -> None:
    with pytest.raises(HeadstartError, match="is a folder of this machine, which pods cannot read"):
        models("rollback", uri, "--deploy")
    assert registry.read_champion(uri).history[-1].how == registry.PUBLISHED


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
    assert re.search(rf"{second} +yes +damaged", plain(models("list", uri).output))


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
