"""Pipelines compiled to YAML."""

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from kfp import compiler
from kfp.dsl.base_component import BaseComponent
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.choose_backbone import build_choice
from headstart.pipelines.definitions.compare_methods import build_comparison
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.search_recipe import build_search
from headstart.pipelines.definitions.tasks import (
    ANY_USE,
    CHOOSE_BACKBONE,
    COMPARE_METHODS,
    SEARCH_RECIPE,
    TRANSFER_LEARNING,
    Uses,
)
from headstart.pipelines.definitions.transfer_learning import build_pipeline


def write_package(
    profile: Profile, from_scratch: bool, path: Path, name: str = TRANSFER_LEARNING, uses: Uses = ANY_USE
) -> None:
    """Compiles the pipeline and writes it atomically.

    Args:
        profile: Cluster profile.
        from_scratch: Whether to train without transfer as well.
        path: Path of the YAML file to write.
        name: Name of the pipeline, of `PIPELINES`; `from_scratch` and `uses` concern only the first,
            but for the rounds of a search.
        uses: Purposes of its runs.

    Raises:
        HeadstartError: If the file cannot be written.
    """
    text = _compile(profile, from_scratch, name, uses)
    try:
        with open_atomic(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise HeadstartError(f"output {str(path)!r} cannot be written ({error.strerror})") from None


def pipeline_spec(
    profile: Profile, from_scratch: bool, cache: bool = True, name: str = TRANSFER_LEARNING, uses: Uses = ANY_USE
) -> dict[str, Any]:
    """Compiles the pipeline to the form that KFP's API takes.

    Args:
        profile: Cluster profile.
        from_scratch: Whether to train without transfer as well.
        cache: Whether tasks may take the results of earlier runs; those that never may are unchanged.
        name: Name of the pipeline, of `PIPELINES`; `from_scratch` and `uses` concern only the first,
            but for the rounds of a search.
        uses: Purposes of its runs.
    """
    # What the compiler writes to YAML, without writing and parsing YAML in Python, which takes ten times as long.
    built = _build(profile, from_scratch, name, uses)
    pipeline, platform = MessageToDict(built.pipeline_spec), MessageToDict(built.platform_spec)
    if not cache:
        for part in (pipeline["root"], *pipeline["components"].values()):
            for task in part.get("dag", {}).get("tasks", {}).values():
                if "cachingOptions" in task:
                    task["cachingOptions"] = {}
    return {"pipeline_spec": pipeline, "platform_spec": platform}


def _build(profile: Profile, from_scratch: bool, name: str, uses: Uses) -> BaseComponent:
    built = _build_as_written(profile, from_scratch, name, uses)
    _drop_docs_of_components(built.pipeline_spec)
    return built


def _build_as_written(profile: Profile, from_scratch: bool, name: str, uses: Uses) -> BaseComponent:
    if name == COMPARE_METHODS:
        return build_comparison(profile)
    if name == SEARCH_RECIPE:
        return build_search(profile, uses.rounds)
    return build_choice(profile) if name == CHOOSE_BACKBONE else build_pipeline(profile, from_scratch, uses)


def _drop_docs_of_components(pipeline: PipelineSpec) -> None:
    """Removes what only readers of the sources need; the pipeline's own parameters keep their descriptions.

    A workflow has each task's source and interface four times, and KFP loses sight of one of more than 1 MB.
    """
    for component in pipeline.components.values():
        for kind in ("parameters", "artifacts"):
            for definitions in (component.input_definitions, component.output_definitions):
                for definition in getattr(definitions, kind).values():
                    definition.ClearField("description")
    for executor in pipeline.deployment_spec["executors"].values():
        command = executor["container"]["command"]
        for place, text in enumerate(command):
            if text.lstrip().startswith("import kfp"):
                command[place] = _drop_docstring(text)


def _drop_docstring(source: str) -> str:
    """Source of a component without the docstring of its function."""
    lines = source.splitlines(keepends=True)
    for statement in ast.parse(source).body:
        match statement:
            case ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())) as docstring, _, *_]):
                del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "".join(lines)


def _compile(profile: Profile, from_scratch: bool, name: str, uses: Uses) -> str:
    pipeline = _build(profile, from_scratch, name, uses)
    with explain_full_disk(), tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return _sort_comments(path.read_text(encoding="utf-8"))


def _sort_comments(text: str) -> str:
    """Sorts the fields of objects in comments, whose order kfp changes from process to process."""
    return re.sub(r"^#.*$", lambda line: re.sub(r"\{[^{}]*\}", _sort_fields, line[0]), text, flags=re.MULTILINE)


def _sort_fields(found: re.Match[str]) -> str:
    return str(dict(sorted(ast.literal_eval(found[0]).items())))
