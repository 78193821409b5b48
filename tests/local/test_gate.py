"""The gate inside a pipeline: each branch of `dsl.If` is told by what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, local
from support.gate import gated, predictions

from headstart.components.core.artifacts.predictions import write_predictions

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

PIPELINE = gated("python:3.11")


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
    PIPELINE(folder=str(evaluation), **parameters)
    assert [path.read_text() for path in (tmp_path / "root").glob("*/leave*/trace")] == [left]


def test_gated_pipeline_compiles_for_a_cluster(tmp_path: Path) -> None:
    compiler.Compiler().compile(PIPELINE, str(tmp_path / "gated.yaml"))
    text = (tmp_path / "gated.yaml").read_text()
    assert "outputParameterKey: Output" in text and "== 'better'" in text
