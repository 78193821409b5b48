"""The rules between folders hold."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from support import ROOT

STEPS = sorted(path.parent.name for path in ROOT.glob("components/*/step.py"))


def test_imports_go_down_and_never_in_a_circle(tmp_path: Path) -> None:
    # The checker finds modules below their package's folder, and follows no links: here the package lies together.
    package = tmp_path / "headstart"
    only_modules = shutil.ignore_patterns("__pycache__", "*.h5", "*.j2", "*.yaml")
    shutil.copytree(ROOT / "headstart", package, ignore=only_modules)
    for name in ("components", "pipelines"):
        shutil.copytree(ROOT / name, package / name, ignore=only_modules)
    # A process of its own: it turns off every logger that exists.
    command = [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_rules_know_every_step() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        rules = {rule["name"]: rule for rule in tomllib.load(file)["tool"]["importlinter"]["contracts"]}
    named = {f"headstart.components.{step}" for step in STEPS}
    for rule, key in (("No step imports", "modules"), ("Pipelines use a step", "forbidden_modules")):
        (found,) = [rules[name][key] for name in rules if name.startswith(rule)]
        assert set(found) == named
    layers = "".join(rules["Imports go down"]["layers"])
    assert [step for step in named if step not in layers] == []


def test_every_room_is_on_a_floor() -> None:
    layers = (ROOT / "pyproject.toml").read_text().partition("Imports go down")[2].partition("]")[0]
    rooms = [path.parent for name in ("components/core", "pipelines") for path in ROOT.glob(f"{name}/*/__init__.py")]
    assert rooms
    assert [room for room in rooms if f"headstart.{'.'.join(room.relative_to(ROOT).parts)}" not in layers] == []


def test_every_package_is_installed() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        installed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    folders = [path.parent for name in ("components", "pipelines") for path in ROOT.glob(f"{name}/**/__init__.py")]
    assert folders
    assert [each for each in folders if f"headstart.{'.'.join(each.relative_to(ROOT).parts)}" not in installed] == []
