"""The gate inside a pipeline: each branch of `dsl.If` is told by what it leaves behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import compiler, dsl, local
from kfp.dsl import Artifact, Input, Output

from headstart.components.compare_models.component import compare_models
from headstart.components.core.predictions import Predictions, write_predictions

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@dsl.component(base_image="python:3.11", packages_to_install=[], install_kfp_package=False)
def leave(word: str, decision: Input[Artifact], trace: Output[Artifact]) -> None:
    from pathlib import Path

    Path(trace.path).write_text(f"{word} {'verdict' in Path(decision.path).read_text()}")


@dsl.pipeline
def gated(folder: str, min_accuracy: float = 0.0) -> None:
    evaluation = dsl.importer(artifact_uri=folder, artifact_class=Artifact)
    gate = compare_models(evaluation=evaluation.output, min_accuracy=min_accuracy)
    gate.set_caching_options(False)
    with dsl.If(gate.outputs["Output"] == "better"):
        leave(word="published", decision=gate.outputs["decision"])
    with dsl.Elif(gate.outputs["Output"] == "worse"):
        leave(word="refused", decision=gate.outputs["decision"])
    with dsl.Else():
        leave(word="kept", decision=gate.outputs["decision"])


def predictions(wrong: int) -> Predictions:
    labels = np.arange(300) % 2
    said = np.where(np.arange(300) < wrong, 1 - labels, labels)
    ids = [f"{number:032x}" for number in range(300)]
    return Predictions(["cat", "dog"], ids, ids, ids, labels, np.eye(2)[said] * 0.8 + 0.1, {}, np.zeros(300, bool))


@pytest.mark.parametrize(
    ("wrong", "champion_wrong", "parameters", "left"),
    [
        (5, 40, {}, "published True"),
        (40, 5, {}, "refused True"),
        (5, 6, {}, "kept True"),
        (5, None, {}, "published True"),
        (5, None, {"min_accuracy": 0.99}, "refused True"),
    ],
)
def test_branches(
    wrong: int, champion_wrong: int | None, parameters: dict[str, Any], left: str, tmp_path: Path
) -> None:
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"), raise_on_error=True)
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    write_predictions(evaluation / "predictions.parquet", predictions(wrong))
    if champion_wrong is not None:
        write_predictions(evaluation / "champion.parquet", predictions(champion_wrong))
    gated(folder=str(evaluation), **parameters)
    assert [path.read_text() for path in (tmp_path / "root").glob("*/leave*/trace")] == [left]


def test_gated_pipeline_compiles_for_a_cluster(tmp_path: Path) -> None:
    compiler.Compiler().compile(gated, str(tmp_path / "gated.yaml"))
    text = (tmp_path / "gated.yaml").read_text()
    assert "outputParameterKey: Output" in text and "== 'better'" in text
