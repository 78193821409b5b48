"""The rules between folders hold."""

import tomllib

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from support import ROOT

STEPS = sorted(path.parent.name for path in ROOT.glob("components/*/step.py"))


def test_imports_go_down_and_never_in_a_circle() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


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
