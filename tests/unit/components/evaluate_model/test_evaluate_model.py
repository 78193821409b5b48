import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import ROOT
from support.servers import serve_folder

from headstart.components.core.artifacts.dataset import DatasetWriter, read_rows
from headstart.components.core.artifacts.model import VALIDATION_PREDICTIONS, write_seen
from headstart.components.core.artifacts.predictions import build_predictions, read_predictions
from headstart.components.core.backbones.table import Head
from headstart.components.core.networks.classifier import build_classifier
from headstart.components.core.networks.heat_maps import compute_heat_maps
from headstart.components.core.networks.saving import load_model
from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.evaluation_folder import Evaluation
from headstart.components.evaluate_model.feature_map import read_feature_map
from headstart.components.evaluate_model.report import render_report
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model


@pytest.fixture(scope="module")
def out(head: Path, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    inputs = EvaluationInputs(head, splits["test"], splits["validation"], [head], str(head))
    result = evaluate_model(inputs, folder / "evaluation", folder / "report.html")
    assert isinstance(result, Evaluation)
    return folder


def test_predictions_are_what_the_saved_model_says_of_the_images(
    out: Path, head: Path, splits: dict[str, Path]
) -> None:
    table = pq.read_table(out / "evaluation" / "predictions.parquet").to_pylist()
    rows = list(read_rows(splits["test"]))
    assert [each["id"] for each in table] == [row.id for row in rows]
    assert [each["label"] for each in table] == [row.label for row in rows]
    model = load_model(head)
    for each, row in list(zip(table, rows, strict=True))[:6]:
        image = np.asarray(Image.open(BytesIO(row.image)), np.float32)[None]
        dog = float(model.predict(image, verbose=0)[0, 0])
        assert each["probability_dog"] == pytest.approx(dog, abs=1e-5)
        assert each["probability_cat"] == pytest.approx(1 - dog, abs=1e-5)
        assert each["predicted"] == ("dog" if dog > 0.5 else "cat")


def test_metrics_agree_with_the_predictions(out: Path) -> None:
    metrics = json.loads((out / "evaluation" / "metrics.json").read_text())
    table = pq.read_table(out / "evaluation" / "predictions.parquet").to_pylist()
    right = sum(each["predicted"] == each["label_name"] for each in table)
    assert metrics["test"]["correct"] == right
    assert metrics["test"]["accuracy"] == right / len(table)
    low, high = metrics["test"]["accuracy_interval"]
    assert low < metrics["test"]["accuracy"] < high
    assert metrics["head"] == metrics["test"]
    assert metrics["classes"] == ["cat", "dog"]


def test_report_needs_nothing_from_outside(out: Path) -> None:
    text = (out / "report.html").read_text()

    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.tags: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            self.found += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    parser = Links()
    parser.feed(text)
    assert all(link.startswith(("data:", "#")) for link in parser.found)
    assert parser.tags.count("script") == 2 and "link" not in parser.tags
    assert "url(http" not in text and "@import" not in text


def test_models_and_images_of_different_classes_are_refused(
    head: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    with DatasetWriter(tmp_path / "other", ["cat", "wolf"], "here") as writer:
        for row in read_rows(splits["test"]):
            writer.add(row)
    with pytest.raises(HeadstartError, match=r"has classes .'cat', 'dog'., the test images .'cat', 'wolf'."):
        evaluate_model(EvaluationInputs(head, tmp_path / "other"), tmp_path / "evaluation", tmp_path / "report.html")


def test_metrics_keep_to_their_documented_schema(out: Path) -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "schemas" / "metrics.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((out / "evaluation" / "metrics.json").read_text()), schema)


def test_champion_that_saw_other_images_is_compared_on_all(out: Path) -> None:
    metrics = json.loads((out / "evaluation" / "metrics.json").read_text())
    assert metrics["champion"] == metrics["test"]
    comparison = metrics["comparison"]
    assert (comparison["verdict"], comparison["seen"], comparison["images"]) == ("cannot tell", 0, 20)


def test_champion_that_saw_the_test_images_is_compared_on_none(
    head: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(head, tmp_path / "champion")
    write_seen(tmp_path / "champion", [splits["test"]])
    inputs = EvaluationInputs(head, splits["test"], champion=str(tmp_path / "champion"))
    result = evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    assert result.comparison is not None and (result.comparison.seen, result.comparison.images) == (20, 0)
    assert read_predictions(tmp_path / "evaluation" / "champion.parquet").seen.all()


def test_champion_is_fetched_from_an_address(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    with serve_folder(head) as address:
        inputs = EvaluationInputs(head, splits["test"], champion=address)
        result = evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    assert result.metrics["champion"] == result.metrics["test"]


def test_near_duplicates_of_what_a_model_saw_count_as_seen(splits: dict[str, Path]) -> None:
    rows = list(read_rows(splits["test"]))
    probabilities = np.full((len(rows), 2), 0.5)
    seen = build_predictions(splits["test"], probabilities, frozenset([rows[3].id])).seen
    assert seen.tolist() == [row.group == rows[3].group for row in rows]


def test_test_images_choose_neither_temperature_nor_threshold(
    head: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    results = []
    for name in ("test", "train"):
        inputs = EvaluationInputs(head, splits[name], splits["validation"])
        results.append(evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html"))
    one, other = results
    assert one.calibration is not None and other.calibration is not None
    assert one.calibration.temperature == other.calibration.temperature
    assert [each.threshold for each in one.abstention] == [each.threshold for each in other.abstention]
    assert one.metrics["test"] != other.metrics["test"]


def test_what_a_model_said_of_its_validation_images_is_not_asked_again(
    head: Path, splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    silent = shutil.copytree(head, tmp_path / "silent")
    (silent / VALIDATION_PREDICTIONS).unlink()
    found = {}
    for name, model, validation, asked in (
        ("told", head, "validation", False),
        ("asked", silent, "validation", True),
        ("others", head, "train", True),
    ):
        logged.clear()
        inputs = EvaluationInputs(model, splits["test"], splits[validation])
        result = evaluate_model(inputs, tmp_path / name, tmp_path / "report.html")
        assert ('what="val predictions"' in logged.text) == asked, name
        assert result.calibration is not None
        found[name] = read_predictions(tmp_path / name / "validation.parquet"), result.calibration.temperature
    (told, temperature), (anew, same), _ = found.values()
    assert (told.ids, told.labels.tolist()) == (anew.ids, anew.labels.tolist())
    # Records are float16.
    assert np.abs(told.probabilities - anew.probabilities).max() < 2e-3
    assert temperature == pytest.approx(same, rel=0.01)
    (silent / VALIDATION_PREDICTIONS).write_bytes(b"answers")
    with pytest.raises(HeadstartError, match=r"answers\.parquet is damaged .* train the model again"):
        evaluate_model(
            EvaluationInputs(silent, *(splits[name] for name in ("test", "validation"))), tmp_path, tmp_path
        )


def test_slices_come_from_extra_columns(head: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", ["cat", "dog"], "here", ["site", "number"]) as writer:
        for number, row in enumerate(read_rows(splits["train"])):
            writer.add(replace(row, extra=("north" if number < 30 else "south", str(number))))
    result = evaluate_model(
        EvaluationInputs(head, tmp_path / "data"), tmp_path / "evaluation", tmp_path / "report.html"
    )
    assert [(each.column, each.value, each.images) for each in result.slices] == [
        ("site", "south", 50),
        ("site", "north", 30),
    ]
    right = result.predictions.right
    assert result.slices[1].accuracy == right[:30].mean()
    assert "site" in (tmp_path / "report.html").read_text()


def test_grad_cam_looks_where_the_evidence_is() -> None:
    """A network whose one channel is the red of a place must find a red square where it is."""
    layers = keras.layers
    inside = keras.Input((32, 32, 3))
    base = keras.Model(inside, layers.Conv2D(1, 8, strides=8, use_bias=False, name="c")(inside), name="base")
    kernel = np.zeros((8, 8, 3, 1), np.float32)
    kernel[..., 0, 0] = 1 / 64
    base.get_layer("c").set_weights([kernel])
    model = build_classifier(base, "tf", Head("average"), 2, 32)
    model.get_layer("output").set_weights([np.array([[5.0]], np.float32), np.zeros(1, np.float32)])
    pixels = np.zeros((2, 32, 32, 3), np.float32)
    pixels[0, 8:16, 16:24, 0] = 255
    heat = compute_heat_maps(model, "base", pixels, np.array([1, 1]))
    assert heat.shape == (2, 4, 4)
    assert heat[0].argmax() == 1 * 4 + 2 and heat[0].max() == 1
    assert not heat[1].any(), "nothing red, nothing found"


def test_map_and_class_balance_come_from_the_model(out: Path, splits: dict[str, Path]) -> None:
    feature_map = read_feature_map(out / "evaluation")
    assert feature_map is not None
    assert feature_map.ids == [row.id for row in read_rows(splits["test"])]
    text = (out / "report.html").read_text()
    assert "Feature map" in text and text.count('<g class="c') == len(feature_map.ids)
    assert '<th scope="col">Train</th><th scope="col">Validation</th><th scope="col">Test</th>' in text


def test_report_is_made_again_from_the_evaluation_alone(out: Path) -> None:
    assert render_report(out / "evaluation") == (out / "report.html").read_text()


def test_report_of_a_damaged_evaluation_says_so(out: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"is not a complete evaluation: metrics\.json is missing"):
        render_report(tmp_path)
    (tmp_path / "metrics.json").write_text('{"format": "other"}')
    with pytest.raises(HeadstartError, match="not in the format"):
        render_report(tmp_path)
