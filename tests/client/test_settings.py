"""Defaults, headstart.yaml, the environment and flags: the later wins, and each says where it came from."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from headstart.pipelines.cluster.settings import SETTINGS, load_settings

Command = Callable[..., tuple[int, str]]


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return re.split(r"  +", line.strip())


def test_the_later_wins_and_says_where_it_came_from(
    headstart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headstart.yaml").write_text("host: http://file\nnamespace: file\nexperiment: file\nimage: file:1\n")
    monkeypatch.setenv("HEADSTART_NAMESPACE", "environment")
    monkeypatch.setenv("HEADSTART_EXPERIMENT", "environment")
    status, shown = headstart("config", "--experiment", "flag")
    assert status == 0
    assert row(shown, "host") == ["host", "http://file", "headstart.yaml", "HEADSTART_KFP_HOST"]
    assert row(shown, "namespace")[1:3] == ["environment", "HEADSTART_NAMESPACE"]
    assert row(shown, "experiment")[1:3] == ["flag", "--experiment"]
    assert row(shown, "profile")[1:3] == ["gke-gpu", "default"]
    assert row(shown, "pipeline_root")[1:3] == ["-", "default"]


def test_every_setting_has_all_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in SETTINGS.items():
        (tmp_path / "headstart.yaml").write_text(f"{name}: from-file\n")
        assert getattr(load_settings({}), name) == "from-file"
        monkeypatch.setenv(setting.variable, "from-environment")
        assert getattr(load_settings({}), name) == "from-environment"
        assert getattr(load_settings({name: "from-flag"}), name) == "from-flag"
        assert getattr(load_settings({name: ""}), name) == ""
        monkeypatch.delenv(setting.variable)


def test_another_file_can_be_named(headstart: Command, tmp_path: Path) -> None:
    (tmp_path / "headstart.yaml").write_text("namespace: here\n")
    (tmp_path / "other.yaml").write_text("namespace: there\n")
    _, shown = headstart("config", "--config", "other.yaml")
    assert row(shown, "namespace")[1:3] == ["there", "other.yaml"]


def test_compile_takes_what_it_needs_of_them(
    headstart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headstart.yaml").write_text("profile: gke-gpu\nregistry: r.io/file\nnamespace: pets\n")
    monkeypatch.setenv("HEADSTART_PROFILE", "cpu")
    assert headstart("compile", "--output", "pipeline.yaml") == (0, "pipeline.yaml\n")
    pipeline = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))
    asked = pipeline["root"]["inputDefinitions"]["parameters"]
    assert asked["accelerator_limit"].get("defaultValue", "") == ""
    assert asked["network_image"]["defaultValue"].startswith("r.io/file/headstart:")
    assert headstart("compile", "--output", "pipeline.yaml", "--image", "own:9", "--registry", "r.io/flag")[0] == 0
    assert "defaultValue: r.io/flag/own:9" in (tmp_path / "pipeline.yaml").read_text()


def test_a_token_is_never_shown(headstart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_TOKEN", "s3cret")
    _, shown = headstart("config")
    assert "s3cret" not in shown
    assert row(shown, "token")[1:3] == ["(set, not shown)", "HEADSTART_TOKEN"]
    assert "s3cret" not in repr(load_settings({}))
    (tmp_path / "headstart.yaml").write_text("token: s3cret\n  broken: [\n")
    status, shown = headstart("config")
    assert status == 2
    assert "s3cret" not in shown


@pytest.mark.parametrize("host", ["https://me:s3cret@kfp.example.com/pipeline", "http://me:s3cret@kfp:port"])
def test_a_password_in_the_host_is_never_shown(headstart: Command, host: str) -> None:
    _, shown = headstart("config", "--host", host)
    assert row(shown, "host")[1:3] == [host.replace("me:s3cret@", ""), "--host"]
    status, refused = headstart("submit", "--data", "gs://bucket/pictures", "--host", host)
    assert status == 2
    assert "host has a password in it" in refused
    assert "s3cret" not in shown + refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("experimnt: pets\n", "'headstart.yaml': unknown key 'experimnt'; did you mean 'experiment'?"),
        ("zzz: 1\n", "unknown key 'zzz'; known: host, namespace"),
        ("- host\n", "must have lines of `key: value`"),
        ("host: [a, b]\n", "'headstart.yaml': host must be a text, not list"),
        ("host: 'http://x\n", "'headstart.yaml' is not valid YAML, line"),
    ],
)
def test_what_is_wrong_with_the_file(headstart: Command, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "headstart.yaml").write_text(content)
    status, shown = headstart("config")
    assert status == 2
    assert message in shown
    assert len(shown.strip().splitlines()) == 1


def test_a_file_that_is_not_there(headstart: Command) -> None:
    status, shown = headstart("config", "--config", "none.yaml")
    assert status == 2
    assert "'none.yaml' cannot be read (No such file or directory)" in shown
