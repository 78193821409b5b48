"""A page for each component and pipeline: interface, example, and the compiled YAML."""

import functools
import importlib
import inspect
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from headstart.pipelines.definitions.argument_docs import OTHER_ARGUMENTS
from headstart.pipelines.definitions.compilation import write_package
from headstart.pipelines.definitions.evaluate_images import evaluate_images
from headstart.pipelines.definitions.given_options import CLASS_COUNTS
from headstart.pipelines.definitions.parameters import OPTION_NAMES, parameter_docs
from headstart.pipelines.definitions.profile import load_profile
from headstart.pipelines.definitions.tasks import ANY_USE, EVALUATE_IMAGES, GROUPS, PIPELINES
from site_pages import ROOT
from site_pages.markdown import blocks, code, describe, prose, table

FOLDER = "reference/components"
_PROFILE = "cpu"


@functools.cache
def component_names() -> list[str]:
    """Names of the components: those of the tasks in the order in which they run, then the others."""
    found = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
    return sorted(found, key=lambda name: (list(GROUPS).index(name) if name in GROUPS else len(GROUPS), name))


def component_overview() -> str:
    """A table of the components."""
    rows = [
        [f"[`{name}`](components/{name}.md)", prose(describe(_load(name).python_func.__doc__).first_line)]
        for name in component_names()
    ]
    return table(["component", "what it does"], rows)


def component_files() -> dict[str, str]:
    """Pages of the components, and the compiled form of each, by their paths below docs/."""
    files = {}
    for name in component_names():
        component = _load(name)
        files[f"{FOLDER}/{name}.md"] = _page(name, component)
        files[f"{FOLDER}/{name}.yaml"] = _compile(component)
    return files


def pipeline_parameters() -> str:
    """The pipelines with their parameters and tasks."""
    return blocks(
        table(
            ["pipeline", "what it does", "compiled"],
            [
                [code(name), prose(_spec(name).description or ""), f"[{name}.yaml](pipelines/{name}.yaml)"]
                for name in _all()
            ],
        ),
        f"The compiled files are those of the profile `{_PROFILE}`; `headstart compile` makes others.",
        *(blocks(f"## {name}", _parameter_table(name)) for name in _all()),
    )


def _parameter_table(pipeline: str) -> str:
    meanings = {name: doc.argument_help for name, doc in parameter_docs().items()} | OTHER_ARGUMENTS
    if pipeline == EVALUATE_IMAGES:
        meanings = dict(describe(inspect.getdoc(evaluate_images.pipeline_func)).parameters)
    inputs = _spec(pipeline).inputs or {}
    return table(
        ["parameter", "option", "type", "default", "meaning"],
        (
            [
                code(name),
                f"`--{OPTION_NAMES[name]}`" if name in OPTION_NAMES and name != CLASS_COUNTS else "",
                _kind(inputs[name]),
                _default(inputs[name]),
                prose(meaning),
            ]
            for name, meaning in meanings.items()
            if name in inputs
        ),
    )


def _default(spec: Any) -> str:
    if not spec.optional:
        return "required"
    whole = spec.type == "Integer" and isinstance(spec.default, float)
    return code(repr(int(spec.default) if whole else spec.default))


def pipeline_files() -> dict[str, str]:
    """The compiled pipelines, by their paths below docs/."""
    return {f"reference/pipelines/{name}.yaml": _pipeline_text(name) for name in _all()}


def _all() -> list[str]:
    return [*PIPELINES, EVALUATE_IMAGES]


@functools.cache
def _pipeline_text(name: str) -> str:
    if name == EVALUATE_IMAGES:
        return _compile(evaluate_images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        write_package(load_profile(_PROFILE), False, path, name, ANY_USE)
        return path.read_text(encoding="utf-8")


@functools.cache
def _spec(name: str) -> Any:
    """Interface of a compiled pipeline."""
    from kfp.components import load_component_from_text

    return load_component_from_text(_pipeline_text(name)).component_spec


def _load(name: str) -> Any:
    return getattr(importlib.import_module(f"headstart.components.{name}.component"), name)


def _compile(component: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "component.yaml"
        compiler.Compiler().compile(component, str(path))
        return path.read_text(encoding="utf-8")


def _is_artifact(spec: Any) -> bool:
    return "." in str(spec.type) and not str(spec.type).startswith("typing")


def _kind(spec: Any) -> str:
    words = {
        "String": "text",
        "Integer": "whole number",
        "Float": "number",
        "Double": "number",
        "Boolean": "true or false",
    }
    kind = str(spec.type)
    if _is_artifact(spec):
        kind = kind.removeprefix("system.").partition("@")[0]
        return code(f"List[{kind}]" if getattr(spec, "is_artifact_list", False) else kind)
    if kind.startswith("typing"):
        return code(kind.replace("typing.", ""))
    return words.get(kind, {"dict": "object"}.get(kind.lower(), kind.lower()))


def _page(name: str, component: Any) -> str:
    spec, docs = component.component_spec, describe(component.python_func.__doc__)
    meaning = {key: prose(text) for key, text in docs.parameters.items()}
    inputs = spec.inputs or {}
    artifacts = {key: each for key, each in inputs.items() if _is_artifact(each)}
    parameters = {key: each for key, each in inputs.items() if key not in artifacts}
    image = component.component_spec.implementation.container.image
    return blocks(
        f"# {name}",
        prose(docs.text),
        f"```python\nfrom headstart.components.{name}.component import {name}\n```",
        f"It runs in the container image `{image}`"
        + (f", as a task of the group `{GROUPS[name]}` ([profiles](../profiles.md))." if name in GROUPS else "."),
        "## Input artifacts" if artifacts else "",
        table(
            ["artifact", "type", "meaning"],
            ([code(key), _kind(v), meaning.get(key, "")] for key, v in artifacts.items()),
        ),
        "## Parameters" if parameters else "",
        table(
            ["parameter", "type", "default", "meaning"],
            ([code(key), _kind(each), _default(each), meaning.get(key, "")] for key, each in parameters.items()),
        ),
        "## Outputs",
        table(
            ["output", "type", "meaning"],
            (
                ["return value" if key == "Output" else code(key), _kind(each), meaning.get(key, prose(docs.returns))]
                for key, each in (spec.outputs or {}).items()
            ),
        ),
        "## Example",
        "A pipeline of it alone. [Here](../../how-to/components.md) is one of several.",
        f"```python\n{example(name)}```",
        "## Compiled",
        f"[{name}.yaml]({name}.yaml) needs no Python package of Headstart:",
        f'```python\nfrom kfp import components\n\n{name} = components.load_component_from_file("{name}.yaml")\n```',
    )


def example(name: str) -> str:
    """A pipeline of one component, with what it needs as arguments; it is compiled before it is shown.

    KFP sets the final status for an exit task, which comes after another one.

    Args:
        name: Name of the component.
    """
    component = _load(name)
    signature = inspect.signature(component.python_func)
    outputs = component.component_spec.outputs or {}
    needed = {
        key: each
        for key, each in signature.parameters.items()
        if key not in outputs
        and each.default is inspect.Parameter.empty
        and each.annotation is not dsl.PipelineTaskFinalStatus
    }
    is_exit_task = any(each.annotation is dsl.PipelineTaskFinalStatus for each in signature.parameters.values())
    call = f"{name}({', '.join(f'{key}={key}' for key in needed)})"
    names: set[str] = set()
    arguments = []
    for key, each in needed.items():
        text = _annotation(each.annotation)
        names |= {word for word in ("Any", "Dict", "List") if word in text}
        arguments.append(f"{key}: {text}")
    others = ""
    if is_exit_task:
        names, arguments = names | {"List"}, ["data: List[str]", *arguments]
        others = "from headstart.components.list_data.component import list_data\n"
        call = f"ended = {call}\n    with dsl.ExitHandler(ended):\n        list_data(data=data)"
    text = (
        (f"from typing import {', '.join(sorted(names))}\n\n" if names else "")
        + "from kfp import compiler, dsl\n\n"
        + f"{others}from headstart.components.{name}.component import {name}\n\n\n"
        + f'@dsl.pipeline(name="{name.replace("_", "-")}-alone")\n'
        + f"def pipeline({', '.join(arguments)}) -> None:\n"
        + f"    {call}\n\n\n"
        + 'compiler.Compiler().compile(pipeline, "pipeline.yaml")\n'
    )
    with tempfile.TemporaryDirectory() as folder:
        exec(compile(text.replace("pipeline.yaml", f"{folder}/pipeline.yaml"), f"<{name}>", "exec"), {})  # noqa: S102
    return text


def _annotation(kind: Any) -> str:
    text = inspect.formatannotation(kind)
    if getattr(kind, "__metadata__", None):
        inner = kind.__args__[0] if hasattr(kind, "__args__") else kind
        element = getattr(inner, "__args__", [inner])[0] if "List" in str(inner) else inner
        shown = f"dsl.{getattr(element, '__name__', element)}"
        return f"dsl.Input[List[{shown}]]" if "List" in str(inner) else f"dsl.Input[{shown}]"
    return text.replace("typing.", "")
