"""The Python examples of the docs, run as they stand there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT

from headstart import __version__
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.predictions import PREDICTIONS, read_predictions

_WITHOUT_THE_PACKAGE = "import sys\nsys.modules['headstart'] = None\n"


def example(page: str) -> str:
    """The first Python example of a page."""
    code, *_ = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


def run_example(code: str, folder: Path) -> str:
    (folder / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pipeline_of_components_compiles_and_runs(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").symlink_to(pictures)
    last = run_example(example("how-to/components.md"), tmp_path).splitlines()[-1]
    assert read_model_info(tmp_path / last).classes == ["cat", "dog"]
    (pipeline, *_) = yaml.safe_load_all((tmp_path / "pets.yaml").read_text())
    executors = pipeline["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {f"registry.example/team/headstart:{__version__}"}


def test_plain_keras_gives_label_and_probability(run_output: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(run_output)
    predictions = read_predictions(run_output / "evaluation" / PREDICTIONS)
    for number in (0, len(predictions.ids) - 1):
        shutil.copyfile(pictures / predictions.paths[number], tmp_path / "image.jpg")
        printed = run_example(_WITHOUT_THE_PACKAGE + example("how-to/predict.md"), tmp_path)
        label, probability = printed.split()
        assert label == predictions.classes[predictions.predicted[number]]
        assert float(probability) == pytest.approx(predictions.probabilities[number].max(), abs=1e-3)


def test_model_names_the_class_of_its_one_output(run_output: Path) -> None:
    info = read_model_info(run_output / "model")
    assert info.output_classes == ["dog"]
    assert json.loads((run_output / "model" / "model.json").read_text())["output_classes"] == ["dog"]
