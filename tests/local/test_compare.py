"""`headstart compare` on drawn pictures, from the command to the results."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import pytest
import yaml
from PIL import Image
from support import ROOT
from support.commands import headstart

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.predictions import read_predictions

SCHEMA = ROOT / "docs" / "reference" / "schemas" / "comparison.schema.json"
QUICK = ("--backbone", "sketchnet", "--counts", "40,10,10")
VARIANTS = """
- {name: slow, method: head, settings: {head.learning_rate: 0.00001}}
- {name: quick, method: head, settings: {head.learning_rate: 0.02, head.epochs: 4}}
"""


BROKEN = """
- {name: broken, method: from_scratch, image_size: 32, settings: {from_scratch.padding: valid}}
- {name: never, method: head}
"""


@pytest.fixture(scope="module")
def output(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "mine.yaml").write_text(VARIANTS)
    asked = ("--variants", folder / "mine.yaml", "--set", "head.epochs=1", "--set", "head.augmented_views=1")
    done = headstart("compare", "--data", pictures, *QUICK, *asked, "--output", folder / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder / "out"


@pytest.fixture(scope="module")
def table(output: Path) -> dict[str, Any]:
    return dict(json.loads((output / "comparison.json").read_text()))


def test_output_holds_the_results_and_nothing_else(output: Path) -> None:
    files = ("comparison.html", "comparison.json", "variants.yaml", "data.html", "quarantine.csv", "run.log")
    assert {path.name for path in output.iterdir()} == {*files, "models", "evaluations", "reports", "tensorboard"}
    for folder, suffix in (("models", ""), ("evaluations", ""), ("reports", ".html"), ("tensorboard", "")):
        assert {path.name for path in (output / folder).iterdir()} == {f"slow{suffix}", f"quick{suffix}"}


def test_pages_link_to_each_other(output: Path) -> None:
    reports = [output / "reports" / f"{name}.html" for name in ("slow", "quick")]
    pages = [output / "comparison.html", output / "data.html", *reports]
    for page in pages:
        links = {(page.parent / link).resolve() for link in re.findall('href="([^"#:]+)"', page.read_text())}
        assert links == {each.resolve() for each in pages}


def test_table_is_of_the_variants_as_they_were_asked_for(output: Path, table: dict[str, Any]) -> None:
    jsonschema.validate(table, json.loads(SCHEMA.read_text()))
    assert [(row["name"], row["method"], row["backbone"]) for row in table["rows"]] == [
        ("slow", "head", "sketchnet"), ("quick", "head", "sketchnet"),
    ]  # fmt: skip
    assert table["chosen"] == "quick"
    heads = {name: read_model_info(output / "models" / name).recipe["head"] for name in ("slow", "quick")}
    assert [(head["learning_rate"], head["epochs"]) for head in heads.values()] == [(1e-5, 1), (0.02, 4)]
    for row in table["rows"]:
        right = read_predictions(output / "evaluations" / row["name"] / "predictions.parquet").right
        assert row["accuracy"] == right.mean() and len(right) == table["images"] == 20
        assert row["seconds"] > 0 and row["accelerator_seconds"] == 0


def test_no_variant_takes_over_what_another_recorded(output: Path) -> None:
    log = (output / "run.log").read_text()
    assert "event=record_reused" not in log
    assert len(re.findall("event=variant ", log)) == 2


def test_models_give_the_predictions_from_the_files_of_the_user(output: Path, pictures: Path) -> None:
    for name in ("slow", "quick"):
        model = keras.models.load_model(output / "models" / name / "model.keras", safe_mode=True)
        predictions = read_predictions(output / "evaluations" / name / "predictions.parquet")
        for path, answer in list(zip(predictions.paths, predictions.probabilities, strict=True))[:4]:
            image = np.asarray(Image.open(pictures / path), np.float32)[None]
            assert float(model.predict(image, verbose=0)[0, 0]) == pytest.approx(answer[1], abs=1e-5)


def test_what_was_compared_can_be_given_back(output: Path) -> None:
    text = (output / "variants.yaml").read_text()
    assert text.startswith("# headstart compare --variants variants.yaml --seed 0")
    assert yaml.safe_load(text) == [
        {
            "name": name,
            "method": "head",
            "backbone": "sketchnet",
            "settings": {"head.epochs": epochs, "head.augmented_views": 1, "head.learning_rate": rate},
        }
        for name, epochs, rate in (("slow", 1, 1e-5), ("quick", 4, 0.02))
    ]


def test_command_says_which_variant_is_under_way_and_which_is_chosen(output: Path) -> None:
    shown = (output.parent / "stdout").read_text()
    done = re.findall(r"\[(\d)/8\] ([a-z- ]+) done in \d+\.\d s", shown)
    assert [task for _, task in done] == [
        "list-data", "download-dataset", "split-dataset", "train-variant slow", "evaluate-model slow",
        "train-variant quick", "evaluate-model quick", "compare-variants",
    ]  # fmt: skip
    assert [number for number, _ in done] == list("12345678")
    assert "chosen  quick, by 20 validation images" in shown
    assert str(output / "comparison.html") in shown


def test_a_variant_that_fails_is_named_and_ends_the_comparison(output: Path, pictures: Path, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.name != "run.log"}
    (tmp_path / "mine.yaml").write_text(BROKEN)
    asked = ("--variants", tmp_path / "mine.yaml", "--output", output)
    done = headstart("compare", "--data", pictures, *QUICK, *asked)
    assert done.returncode == 1
    assert "error: train-variant: variant 'broken': image size 32 leaves the convnet no feature map" in done.stderr
    assert "never" not in (output / "run.log").read_text().partition("no feature map")[2]
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.name != "run.log"} == before
