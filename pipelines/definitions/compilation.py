"""The pipeline compiled to YAML."""

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler

from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.definitions.compare_methods import build_comparison
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import ANY_USE, COMPARE_METHODS, TRANSFER_LEARNING, Uses
from headstart.pipelines.definitions.transfer_learning import build_pipeline


def write_package(
    profile: Profile, from_scratch: bool, path: Path, name: str = TRANSFER_LEARNING, uses: Uses = ANY_USE
) -> None:
    """Compiles the pipeline and writes it atomically.

    Args:
        profile: What the stages ask of the cluster.
        from_scratch: Whether to train without transfer as well.
        path: The YAML file to write.
        name: Which pipeline, of `PIPELINES`; only the first knows of `from_scratch` and `uses`.
        uses: What its runs are for; left out: whatever their parameters say.

    Raises:
        HeadstartError: It cannot be written.
    """
    text = _compiled(profile, from_scratch, name, uses)
    try:
        with open_atomic(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise HeadstartError(f"output {str(path)!r} cannot be written ({error.strerror})") from None


def pipeline_spec(
    profile: Profile, from_scratch: bool, cache: bool = True, name: str = TRANSFER_LEARNING, uses: Uses = ANY_USE
) -> dict[str, Any]:
    """The compiled pipeline as KFP's API takes it.

    Args:
        profile: What the stages ask of the cluster.
        from_scratch: Whether to train without transfer as well.
        cache: Whether stages may take the results of earlier runs; those that never may are left alone.
        name: Which pipeline, of `PIPELINES`.
        uses: As `write_package` takes it.
    """
    pipeline, platform = yaml.safe_load_all(_compiled(profile, from_scratch, name, uses))
    if not cache:
        for part in (pipeline["root"], *pipeline["components"].values()):
            for task in part.get("dag", {}).get("tasks", {}).values():
                if "cachingOptions" in task:
                    task["cachingOptions"] = {}
    return {"pipeline_spec": pipeline, "platform_spec": platform}


def _compiled(profile: Profile, from_scratch: bool, name: str, uses: Uses) -> str:
    comparison = name == COMPARE_METHODS
    pipeline = build_comparison(profile) if comparison else build_pipeline(profile, from_scratch, uses)
    with explain_full_disk(), tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return _in_order(path.read_text(encoding="utf-8"))


def _in_order(text: str) -> str:
    """Sorts objects in comments: kfp writes their fields in another order in every process."""
    return re.sub(r"^#.*$", lambda line: re.sub(r"\{[^{}]*\}", _sorted, line[0]), text, flags=re.MULTILINE)


def _sorted(found: re.Match[str]) -> str:
    return str(dict(sorted(ast.literal_eval(found[0]).items())))
