"""What the report says, from evaluations without a network."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.evaluations import draw_predictions, drawn_report
from typer.testing import CliRunner

from headstart.components.core.util.errors import HeadstartError
from headstart.components.evaluate_model.report import describe_verdict, render_report
from headstart.pipelines.cli.main import app

HOSTILE = ["<script>alert(1)</script>", "$x^2$ & \"quotes\" 'n' \u202e\x1b{{ 7 * 7 }}", "猫 " + "x" * 300]


def metrics(
    accuracy: float, interval: tuple[float, float], comparison: dict[str, Any] | None = None
) -> dict[str, Any]:
    classes = {"cat": {"images": 60}, "dog": {"images": 40}}
    final = {"accuracy": accuracy, "accuracy_interval": interval, "images": 100, "per_class": classes}
    return {"test": final, "comparison": comparison}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            metrics(0.9, (0.826, 0.945)),
            "Test accuracy 90.0 % on 100 images; on new images like these, expect 82.6 % to",
        ),
        (
            metrics(0.62, (0.52, 0.71)),
            "Not shown to be better than chance: test accuracy 62.0 % on 100 images, and always predicting cat",
        ),
        (
            metrics(0.9, (0.8, 0.9), {"verdict": "better", "accuracy": 0.9, "champion_accuracy": 0.8, "images": 90}),
            "Better than the champion: test accuracy 90.0 % against 80.0 % on 90 images",
        ),
        (
            metrics(0.9, (0.8, 0.9), {"verdict": "cannot tell", "accuracy": None}),
            "Test accuracy 90.0 % on 100 images; it cannot be told whether that is better than the champion",
        ),
    ],
)
def test_verdict_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    assert describe_verdict(values).startswith(sentence)


def test_names_cannot_smuggle_anything_into_the_report(tmp_path: Path) -> None:
    text = drawn_report(tmp_path, HOSTILE, 200).read_text(encoding="utf-8")
    assert text.count("<script") == 2 and "alert(1)</script>" not in text.replace("&lt;/script&gt;", "")
    assert "\u202e" not in text and "\x1b" not in text and "{{ 7 * 7 }}" in text


def test_every_class_is_in_the_legends_under_its_name(tmp_path: Path) -> None:
    alike = [f"photographs of {each} from the garden" for each in ("cats", "dogs")]
    text = drawn_report(tmp_path, [*alike, "_hidden", "#010203"], 200).read_text(encoding="utf-8")
    drawings = [each for each in re.findall("<svg xmlns.*?</svg>", text, re.DOTALL) if "_hidden" in each]
    assert len(drawings) == 2
    for each in drawings:
        names = re.findall("<text[^>]*>([^<]*)</text>", each)
        assert names.count("photographs …m the garden") == 2
        assert names.count("_hidden") == names.count("#010203") == 1
        assert "#010203" not in re.sub(">[^<]*<", "><", each)


def test_hundred_classes_fit(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, [f"class {number}" for number in range(100)], 400)
    text = report.read_text(encoding="utf-8")
    assert report.stat().st_size < 2.5e6
    assert "and 88 more" in text and "The 50 classes with the lowest recall of 100" in text
    assert 'class="matrix"' not in text


def test_classes_without_a_test_image_are_said_to_be_unevaluated(tmp_path: Path) -> None:
    classes = [f"class {number}" for number in range(8)]
    text = drawn_report(tmp_path, classes, 6, champion=False).read_text(encoding="utf-8")
    tested = {classes[label] for label in draw_predictions(6, classes, 1).labels}
    missing = [name for name in classes if name not in tested]
    assert 1 < len(missing) < 7
    named = "".join(f"<bdi>{name}</bdi>{', ' if name != missing[-1] else ''}" for name in missing)
    assert f"Not evaluated, as there are no test images: {named}." in text
    table = text[text.index('aria-label="Metrics per class"') : text.index('<h2 id="ranking">')]
    rows = re.findall('<th scope="row"><bdi>(class [0-9])</bdi></th><td>([0-9]+)</td>', table)
    assert {name for name, _ in rows} == tested and "0" not in {images for _, images in rows}
    (weakest,) = re.findall("(class [0-9]): recall", text)
    assert weakest in tested


def calibration_of(report: Path) -> dict[str, Any]:
    return dict(json.loads((report.parent / "evaluation" / "metrics.json").read_text())["calibration"])


def test_calibration_that_is_not_needed_is_not_applied_and_said_so(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 400, champion=False)
    text, found = report.read_text(encoding="utf-8"), calibration_of(report)
    # Gaussian logits with a step of `strength` are calibrated if multiplied by it: those of the test are too unsure.
    assert found["applied"] and found["change"]["log_loss"] < 0
    assert (
        "underconfident on 400 validation images" in text and "On the test images it lowers the log loss by" in text
    )
    assert text.count(">Calibrated</th>") == text.count(">Change</th>") == 1
    evaluation = report.parent / "evaluation" / "metrics.json"
    metrics = json.loads(evaluation.read_text())
    metrics["calibration"] |= {
        "applied": False,
        "temperature": 1.0,
        "temperature_interval": [0.9, 1.2],
        "change": None,
    }
    metrics["calibration"]["after"] = metrics["calibration"]["before"]
    evaluation.write_text(json.dumps(metrics))
    text = render_report(evaluation.parent)
    assert "Temperature scaling is not applied: 400 validation images do not show that it is needed." in text
    assert "confident on" not in text and ">Calibrated</th>" not in text


def test_calibration_that_does_harm_on_the_test_images_says_so(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 200, champion=False)
    evaluation = report.parent / "evaluation" / "metrics.json"
    metrics = json.loads(evaluation.read_text())
    metrics["calibration"]["change"] |= {"log_loss": 0.01, "log_loss_interval": [0.004, 0.016]}
    evaluation.write_text(json.dumps(metrics))
    text = render_report(evaluation.parent)
    assert "On the test images it does harm: it raises the log loss by 0.0100 (95 % interval" in text


def test_calibration_of_an_earlier_version_is_shown_without_claims(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 200, champion=False)
    evaluation = report.parent / "evaluation" / "metrics.json"
    metrics = json.loads(evaluation.read_text())
    calibration = metrics["calibration"]
    for key in ("applied", "fitted_temperature", "temperature_interval", "p_value", "change"):
        del calibration[key]
    for part in (calibration["before"], calibration["after"]):
        del part["ece_if_calibrated"], part["ece_if_calibrated_interval"]
        for each in part["bins"]:
            del each["accuracy_interval"]
        part["bins"].insert(0, {"low": 0.0, "high": 0.1, "images": 0, "confidence": None, "accuracy": None})
    evaluation.write_text(json.dumps(metrics))
    text = render_report(evaluation.parent)
    assert f"divided by a temperature of {calibration['temperature']:.2f}, fitted on 200 validation images." in text
    assert "confident on" not in text and "By chance alone" not in text


@pytest.mark.parametrize(
    ("values", "card", "words"),
    [
        ({"gain_interval": [0.004, 0.02]}, True, "More images of the same kind help."),
        ({"gain_interval": [0.0, 0.02]}, False, "It cannot be told whether more images help."),
        ({"gain": 0.001, "gain_interval": [0.0, 0.003]}, False, "hardly help."),
        ({"covers_sampling": False}, False, "The interval covers the random splits alone"),
    ],
)
def test_gain_of_more_images_is_a_headline_only_if_it_is_sure(
    tmp_path: Path, values: dict[str, Any], card: bool, words: str
) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 30, champion=False)
    curve = report.parent / "evaluation" / "learning_curve.json"
    curve.write_text(json.dumps(json.loads(curve.read_text()) | {"covers_sampling": True} | values))
    text = render_report(curve.parent)
    assert ("Twice the images" in text) == card and words in text


def test_doubtful_labels_and_errors_among_them_are_one_statement(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 30, champion=False)
    evaluation = report.parent / "evaluation" / "metrics.json"
    metrics = json.loads(evaluation.read_text())
    for doubtful, suspected, words in (
        (
            7,
            0,
            "7 labels are doubtful: classifiers that were not trained on the image find another class likelier. None",
        ),
        (7, 2, "2 of them are suspected to be wrong."),
        (1, 1, "1 label is doubtful"),
        (0, 0, "No label is doubtful"),
    ):
        evaluation.write_text(
            json.dumps(metrics | {"doubtful_labels": doubtful, "suspected_label_errors": suspected})
        )
        text = render_report(evaluation.parent)
        assert words in text and ("No label is doubtful" in text) == (doubtful == 0)
        assert "No suspected label errors" not in text


def test_one_quantity_is_shown_under_one_name(tmp_path: Path) -> None:
    text = drawn_report(tmp_path, ["cat", "dog"], 60, champion=False).read_text(encoding="utf-8")
    assert text.count("Balanced accuracy (macro recall)") == 1 and "Recall, macro" not in text


def test_all_right_on_two_images(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 2, champion=False, strength=50.0, share=0.0)
    text = report.read_text(encoding="utf-8")
    assert "Fine-tuning did not lower the validation loss: the result is the head-trained model." in text
    assert "<strong>Fine-tuned (head kept)</strong>" in text
    assert "There are no mistakes: all predictions are correct." in text
    assert "cannot be promised" in text


def test_report_is_made_again_or_a_line_says_why_not(tmp_path: Path) -> None:
    report = drawn_report(tmp_path, ["cat", "dog"], 20)
    first = report.read_bytes()
    report.unlink()
    assert CliRunner().invoke(app, ["report", str(tmp_path)]).exit_code == 0
    assert report.read_bytes() == first
    report.unlink()
    report.mkdir()
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, HeadstartError)
    assert str(done.exception).endswith("report.html' cannot be written (Is a directory); name another folder")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("per_class", [{}, None, [1], {"cat": 3, "dog": 4}])
def test_report_of_an_evaluation_from_elsewhere_is_one_line(tmp_path: Path, per_class: object) -> None:
    drawn_report(tmp_path, ["cat", "dog"], 20).unlink()
    (file,) = tmp_path.rglob("metrics.json")
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"test": metrics["test"] | {"per_class": per_class}}))
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, HeadstartError)
    assert "is damaged (" in str(done.exception)
