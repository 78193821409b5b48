import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headstart.pipelines.cli import app

NETWORK_STEPS = {"train-head", "fine-tune", "evaluate-model"}
DATA_STEPS = {"download-dataset", "split-dataset"}


def compiled(tmp_path: Path, *options: str) -> tuple[bytes, dict[str, Any]]:
    path = tmp_path / "pipeline.yaml"
    result = CliRunner().invoke(app, ["compile", "--output", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == [path]
    return path.read_bytes(), yaml.safe_load(path.read_text())


def containers(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    executors = pipeline["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"] for name, executor in executors.items()}


def test_compiling_twice_gives_identical_bytes(tmp_path: Path) -> None:
    first, _ = compiled(tmp_path)
    code = (
        f"from headstart.pipelines.cli import app; app(['compile', '--output', {str(tmp_path / 'pipeline.yaml')!r}])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", capture_output=True)
    assert (tmp_path / "pipeline.yaml").read_bytes() == first


def test_one_accelerator_for_each_step_that_computes_a_network_and_for_no_other(tmp_path: Path) -> None:
    _, pipeline = compiled(tmp_path)
    steps = containers(pipeline)
    assert set(steps) == NETWORK_STEPS | DATA_STEPS
    defaults = {
        name: value.get("defaultValue") for name, value in pipeline["root"]["inputDefinitions"]["parameters"].items()
    }
    assert (defaults["accelerator_type"], defaults["accelerator_limit"]) == ("nvidia.com/gpu", "1")
    for name, container in steps.items():
        accelerator = container["resources"].get("accelerator")
        if name in NETWORK_STEPS:
            assert accelerator == {
                "resourceType": "{{$.inputs.parameters['pipelinechannel--accelerator_type']}}",
                "resourceCount": "{{$.inputs.parameters['pipelinechannel--accelerator_limit']}}",
            }
        else:
            assert accelerator is None


def test_every_step_has_the_image_of_this_version_and_installs_nothing(tmp_path: Path) -> None:
    _, pipeline = compiled(tmp_path)
    for container in containers(pipeline).values():
        assert container["image"] == f"headstart:{version('headstart')}"
        assert "pip install" not in " ".join(container["command"])
    _, pipeline = compiled(tmp_path, "--image", "registry.example/headstart:9")
    assert {container["image"] for container in containers(pipeline).values()} == {"registry.example/headstart:9"}


def test_every_step_is_tried_again_for_days(tmp_path: Path) -> None:
    _, pipeline = compiled(tmp_path)
    for task in pipeline["root"]["dag"]["tasks"].values():
        policy = task["retryPolicy"]
        assert policy["maxRetryCount"] == 2
        assert int(policy["backoffMaxDuration"].removesuffix("s")) >= 2 * 86_400


def test_every_parameter_is_typed_and_documented(tmp_path: Path) -> None:
    _, pipeline = compiled(tmp_path, "--from-scratch")
    assert "train-from-scratch" in containers(pipeline)
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    for name, definition in parameters.items():
        assert definition["description"], name
        assert definition["parameterType"], name
    assert [name for name, definition in parameters.items() if "defaultValue" not in definition] == ["data"]
    for name, component in pipeline["components"].items():
        for kind in component["inputDefinitions"].values():
            for item, definition in kind.items():
                assert definition.get("description"), (name, item)


def test_a_file_that_kfp_would_refuse_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compile", "--output", str(tmp_path / "pipeline.txt")])
    assert "must end in .yaml" in str(result.exception)


@pytest.mark.parametrize("module", ["download_dataset", "split_dataset"])
def test_data_steps_start_without_tensorflow_and_steps_without_kfp(module: str) -> None:
    unwanted = "{'tensorflow', 'keras', 'kfp'}"
    code = f"import sys, headstart.components.{module}.step; assert not {unwanted} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["train_head", "fine_tune", "train_from_scratch", "evaluate_model"])
def test_network_steps_never_import_kfp(module: str) -> None:
    code = f"import sys, headstart.components.{module}.step; assert 'kfp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
