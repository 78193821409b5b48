"""What other programs, files and people's habits rely on, collected from the code as plain data."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import typer

import headstart.components
from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.compilation import pipeline_spec
from headstart.pipelines.definitions.profile import load_profile
from headstart.pipelines.definitions.tasks import PIPELINES


def contracts() -> dict[str, Any]:
    """Commands, pipelines and components."""
    return {
        "commands": commands(),
        "pipelines": pipelines(),
        "components": components(),
    }


def commands() -> dict[str, Any]:
    """Each command's arguments and options with their defaults."""
    found: dict[str, Any] = {}

    def collect(command: Any, name: str) -> None:
        for child, each in getattr(command, "commands", {}).items():
            collect(each, f"{name} {child}")
        if not hasattr(command, "commands"):
            found[name] = {_spelling(each): _parameter(each) for each in command.params}

    collect(typer.main.get_command(app), "headstart")
    return dict(sorted(found.items()))


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name)
    return "/".join([*parameter.opts, *parameter.secondary_opts])


def _parameter(parameter: Any) -> dict[str, Any]:
    default = parameter.default() if inspect.isfunction(parameter.default) else parameter.default
    return {
        "default": None if default is None or parameter.required else json.loads(json.dumps(default, default=str)),
        "required": parameter.required,
        "several": getattr(parameter, "multiple", False) or parameter.nargs == -1,
        "flag": getattr(parameter, "is_flag", False),
    }


def pipelines() -> dict[str, Any]:
    """Each pipeline's parameters with their types and defaults."""
    found = {}
    for name in PIPELINES:
        spec = pipeline_spec(load_profile("cpu"), from_scratch=True, name=name)["pipeline_spec"]
        parameters = spec["root"]["inputDefinitions"]["parameters"]
        found[spec["pipelineInfo"]["name"]] = {
            key: {part: each[part] for part in ("parameterType", "defaultValue") if part in each}
            for key, each in sorted(parameters.items())
        }
    return found


def components() -> dict[str, Any]:
    """Each component's inputs and outputs with their types and defaults."""
    found = {}
    for module in pkgutil.iter_modules(headstart.components.__path__):
        if module.ispkg and module.name != "core":
            package = importlib.import_module(f"headstart.components.{module.name}.component")
            spec = getattr(package, module.name).component_spec
            found[spec.name] = {
                "inputs": {key: [each.type, each.default] for key, each in sorted((spec.inputs or {}).items())},
                "outputs": {key: each.type for key, each in sorted((spec.outputs or {}).items())},
            }
    return found


def json_keys(path: Path) -> set[str]:
    """Paths of all keys in a JSON file, such as `calibration.bins[].images`."""
    return _paths(json.loads(path.read_text()))


def _paths(value: Any, before: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path for key, each in value.items() for path in _paths(each, f"{before}.{key}".lstrip("."))}
    if isinstance(value, list) and value:
        return {path for each in value for path in _paths(each, f"{before}[]")}
    return {before}
