"""A trained model is evaluated on images that it has not seen, by its own calibration."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from support import ROOT

from headstart.components.core.artifacts.dataset import DatasetWriter, ImageRow, read_dataset_info, read_rows
from headstart.components.core.artifacts.selection import Selection
from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.step import EvaluationInputs, evaluate_model
from headstart.components.select_test_images.step import LEAVE_OUT, SelectedData, select_test_images


def select(
    dataset: Path, model: Path, folder: Path, unknown_classes: str = "refuse"
) -> tuple[SelectedData, Selection]:
    selected = SelectedData(folder / "model", folder / "calibration", folder / "test")
    return selected, select_test_images(dataset, str(model), selected, unknown_classes)


def rewrite(
    dataset: Path,
    folder: Path,
    classes: list[str],
    change: Callable[[ImageRow], ImageRow] = lambda row: row,
    max_side: int = 512,
) -> Path:
    """A copy of a dataset with other names of its classes."""
    with DatasetWriter(folder, classes, "here", max_side=max_side) as writer:
        for row in read_rows(dataset):
            writer.add(change(row))
    return folder


def ids(dataset: Path) -> set[str]:
    return {row.id for row in read_rows(dataset)}


def test_images_that_the_model_has_seen_are_left_out_and_listed(
    run_output: Path, dataset: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    selected, selection = select(dataset, run_output, tmp_path)
    assert selection == Selection(120, 100, {})
    assert ids(selected.test) == ids(splits["test"])
    with (selected.test / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (dataset / "quarantine.csv").open(newline="") as file:
        assert rows[:-100] == list(csv.DictReader(file))
    assert {row["reason"] for row in rows[-100:]} == {"seen"}


def test_near_duplicates_of_what_the_model_has_seen_are_left_out(
    run_output: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    seen = next(iter(read_rows(splits["train"]))).id
    first, *_ = read_rows(splits["test"])
    data = rewrite(
        splits["test"],
        tmp_path / "data",
        ["cat", "dog"],
        lambda row: dataclasses.replace(row, group=seen) if row.id == first.id else row,
    )
    selected, selection = select(data, run_output, tmp_path)
    assert selection.seen == 1
    assert ids(selected.test) == ids(splits["test"]) - {first.id}


def test_the_model_scores_as_in_its_own_run_and_nothing_is_fitted_anew(
    run_output: Path, dataset: Path, tmp_path: Path
) -> None:
    selected, _ = select(dataset, run_output, tmp_path)
    inputs = EvaluationInputs(selected.model, selected.test, calibration=selected.calibration)
    evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    before, after = (
        json.loads((folder / "evaluation" / "metrics.json").read_text()) for folder in (run_output, tmp_path)
    )
    jsonschema.validate(
        after, json.loads((ROOT / "docs" / "reference" / "schemas" / "metrics.schema.json").read_text())
    )
    assert after["selection"] == {"images": 120, "seen": 100, "unknown_classes": {}}
    assert before["selection"] is None
    for key in ("classes", "stage", "test_data", "validation_data"):
        assert after[key] == before[key], key
    assert after["test"]["confusion_matrix"] == before["test"]["confusion_matrix"]
    assert after["test"]["log_loss"] == pytest.approx(before["test"]["log_loss"], rel=1e-4)
    assert after["calibration"]["temperature"] == before["calibration"]["temperature"]
    assert after["calibration"]["after"]["brier"] == pytest.approx(before["calibration"]["after"]["brier"], rel=1e-4)
    assert after["abstention"] == before["abstention"]
    report = (tmp_path / "report.html").read_text()
    assert "100 that the model was trained or tuned on" in report


def test_other_images_change_neither_temperature_nor_thresholds(
    run_output: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    # All labels wrong: whatever were fitted to these images would be far from the model's own.
    wrong = rewrite(
        splits["test"],
        tmp_path / "wrong",
        ["cat", "dog"],
        lambda row: dataclasses.replace(row, label=1 - row.label),
    )
    selected, _ = select(wrong, run_output, tmp_path)
    inputs = EvaluationInputs(selected.model, selected.test, calibration=selected.calibration)
    result = evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    before = json.loads((run_output / "evaluation" / "metrics.json").read_text())
    assert result.metrics["test"].accuracy == pytest.approx(1 - before["test"]["accuracy"])
    assert result.calibration is not None
    assert result.calibration.temperature == before["calibration"]["temperature"]
    assert [each.threshold for each in result.abstention] == [each["threshold"] for each in before["abstention"]]


def test_unknown_classes_are_refused_or_left_out(
    run_output: Path, splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    data = rewrite(splits["test"], tmp_path / "data", ["cat", "wolf"])
    with pytest.raises(HeadstartError, match=r"know 'wolf' \(10 images\); it knows 'cat', 'dog'; .*leave_out"):
        select(data, run_output, tmp_path / "refused")
    selected, selection = select(data, run_output, tmp_path, LEAVE_OUT)
    assert selection == Selection(20, 0, {"wolf": 10})
    info = read_dataset_info(selected.test)
    assert (info.classes, info.counts) == (["cat", "dog"], [10, 0])
    assert "no test image of 'dog'" in logged.text
    assert "only 10 images" in logged.text
    inputs = EvaluationInputs(selected.model, selected.test, calibration=selected.calibration)
    assert evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html").metrics["test"].images == 10


def test_labels_follow_the_order_of_the_model(run_output: Path, splits: dict[str, Path], tmp_path: Path) -> None:
    data = rewrite(
        splits["test"],
        tmp_path / "data",
        ["dog", "cat"],
        lambda row: dataclasses.replace(row, label=1 - row.label),
    )
    selected, _ = select(data, run_output, tmp_path)
    assert {row.id: row.label for row in read_rows(selected.test)} == {
        row.id: row.label for row in read_rows(splits["test"])
    }


def test_what_cannot_be_evaluated_is_refused_in_a_line(
    run_output: Path, splits: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(HeadstartError, match=r"no image is left to evaluate on; .*80 that the model was trained"):
        select(splits["train"], run_output, tmp_path / "seen")
    small = rewrite(splits["test"], tmp_path / "small", ["cat", "dog"], max_side=64)
    with pytest.raises(HeadstartError, match=r"with max_side 64, .* with 512; read them with max_side 512"):
        select(small, run_output, tmp_path / "size")
    with pytest.raises(HeadstartError, match=r"there is no model\.json"):
        select(splits["test"], tmp_path, tmp_path / "none")
    with pytest.raises(HeadstartError, match="give one of refuse, leave_out"):
        select(splits["test"], run_output, tmp_path / "typo", "leaveout")


def test_a_model_without_its_evaluation_is_not_calibrated(
    run_output: Path, splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    selected, _ = select(splits["test"], run_output / "model", tmp_path)
    assert "probabilities are not calibrated" in logged.text
    inputs = EvaluationInputs(selected.model, selected.test, calibration=selected.calibration)
    result = evaluate_model(inputs, tmp_path / "evaluation", tmp_path / "report.html")
    assert (result.calibration, result.abstention) == (None, [])
