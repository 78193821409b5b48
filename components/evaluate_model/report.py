"""The report: one HTML file that needs no network, made of an evaluation's folder alone."""

from pathlib import Path
from typing import Any

import numpy as np

from headstart.components.core.artifacts.evaluation import PICTURES, read_metrics, read_models
from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.hygiene import read_hygiene
from headstart.components.core.artifacts.predictions import PREDICTIONS, Predictions, read_predictions
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    LearningCurve,
    read_learning_curve,
)
from headstart.components.core.artifacts.thumbnails import Shown, read_pictures
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.comparison import BETTER, CANNOT_TELL, WORSE, compare_with_chance
from headstart.components.core.metrics.statistics import clopper_pearson_lower_bounds
from headstart.components.core.reports import page
from headstart.components.core.reports.charts import Chart
from headstart.components.core.reports.page import shown
from headstart.components.evaluate_model import charts
from headstart.components.evaluate_model.ranking import precision_recall, roc

STAGE_TITLES = {"from_scratch": "From scratch", "head": "Head alone", "fine_tuning": "Fine-tuned"}
IN_USE = "Model in use"

_SIDE_BY_SIDE = ("champion", "from_scratch", "head", "test")
_MATRIX_CLASSES, _CLASS_ROWS, _CONFUSIONS, _SLICES = 20, 50, 12, 60
_STEPS = 200
"""Of the threshold slider, from 0 to 1."""


def render_report(evaluation: Path) -> str:
    """Renders the page.

    Args:
        evaluation: Folder that `evaluate_model` made.

    Raises:
        HeadstartError: It is none, or a file of it is damaged.
    """
    metrics = read_metrics(evaluation)
    made = read_models(evaluation)
    models = made["models"]
    predictions = read_predictions(evaluation / PREDICTIONS)
    curve = read_learning_curve(evaluation / LEARNING_CURVE)
    final, champion = metrics["test"], metrics.get("champion")
    classes = metrics["classes"]
    evaluated = [at for at, name in enumerate(classes) if final["per_class"][name]["images"]]
    order = sorted(evaluated, key=lambda at: (final["per_class"][classes[at]]["recall"], at))
    return page.render(
        __package__,
        "report.html.j2",
        verdict=describe_verdict(metrics),
        expect=final["accuracy_interval"],
        final=final,
        champion=champion,
        comparison=metrics["comparison"],
        classes=classes,
        metrics=metrics,
        key_figures=_key_figures(final, champion),
        candidates=[
            (IN_USE if key == "champion" else STAGE_TITLES[models[key]["stage"]], metrics[key], key == "test")
            for key in _SIDE_BY_SIDE
            if key in metrics
        ],
        share=models["test"]["metrics"].get("fine_tuned_share", 1),
        training={title: charts.curves(epochs, title) for title, epochs in _histories(models).items()},
        matrix=final["confusion_matrix"] if len(classes) <= _MATRIX_CLASSES else None,
        largest=max(map(max, final["confusion_matrix"])),
        confusions=final["confusions"][:_CONFUSIONS],
        not_evaluated=[name for name in classes if not final["per_class"][name]["images"]],
        rows=[(classes[at], final["per_class"][classes[at]]) for at in order[:_CLASS_ROWS]],
        slices=metrics["slices"][:_SLICES],
        ranking=_ranking(predictions, final),
        reliability=_reliability(metrics["calibration"]),
        slider=_slider(predictions, metrics["calibration"]),
        start=_start(metrics),
        galleries=_galleries(read_pictures(evaluation / PICTURES)),
        label_errors=LABEL_ERRORS,
        curve=curve,
        learning=charts.learning(curve) if curve else "",
        more=_more(curve) if curve else "",
        hygiene=read_hygiene(evaluation),
        card=_card(models["test"], made["command"], metrics),
        facts=_facts(models["test"], metrics),
    )


def describe_verdict(metrics: dict[str, Any]) -> str:
    """What there is to know, in one sentence.

    Args:
        metrics: As in `metrics.json`.
    """
    final, comparison = metrics["test"], metrics["comparison"]
    right = f"{100 * final['accuracy']:.1f} % of {final['images']:,} test pictures right"
    if comparison is None:
        sizes = {name: each["images"] for name, each in final["per_class"].items()}
        chance = compare_with_chance(round(final["accuracy"] * final["images"]), sizes)
        if not chance.excluded and chance.share < 1:
            always = f"always saying {shown(chance.label)} gets {100 * chance.share:.1f} %"
            return f"Not shown to be of use: {right}, and {always}"
        low, high = (100 * bound for bound in final["accuracy_interval"])
        return f"{right}; on new pictures like these, expect {low:.1f} % to {high:.1f} %"
    if comparison["accuracy"] is None:
        return f"{right}; whether that is better than the model in use cannot be told"
    both = (
        f"{100 * comparison['accuracy']:.1f} % against {100 * comparison['champion_accuracy']:.1f} % of "
        f"{comparison['images']:,} test pictures right"
    )
    return {
        BETTER: f"Better than the model in use: {both}",
        WORSE: f"Worse than the model in use: {both}",
        CANNOT_TELL: f"Not shown to be better than the model in use: {both}",
    }[comparison["verdict"]]


def _key_figures(final: dict[str, Any], champion: dict[str, Any] | None) -> list[tuple[str, str, list[str]]]:
    """Name, explanation, and a text with its interval for each model."""
    rows = [
        ("Accuracy", "share right", "accuracy", True),
        ("Balanced accuracy", "each class counts alike", "balanced_accuracy", True),
        ("F1, macro", "recall and precision in one", "macro.f1", True),
        ("ROC area, macro", "how well classes are ranked", "macro.roc_auc", True),
        ("Log loss", "nats; lower is better", "log_loss", False),
    ]
    models = [final, champion] if champion else [final]
    return [(name, why, [_estimate(model, key, share) for model in models]) for name, why, key, share in rows]


def _estimate(figures: dict[str, Any], key: str, share: bool) -> str:
    *above, name = key.split(".")
    for part in above:
        figures = figures[part]
    value, interval = figures[name], figures[f"{name}_interval"]
    if value is None:
        return "none"
    # Where nothing is wrong, no resample is either: that is no interval to show.
    if interval[0] == interval[1]:
        return f"{100 * value:.1f} %" if share else f"{value:.3f}"
    if share:
        return f"{100 * value:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _histories(models: dict[str, Any]) -> dict[str, list[Epoch]]:
    """Epochs by stage; a fine-tuned model's history holds its head's epochs too, which are shown once."""
    stages: dict[str, list[Epoch]] = {}
    for key in ("from_scratch", "head", "test"):
        epochs = [Epoch.of(each) for each in models[key]["history"]] if key in models else []
        for stage in dict.fromkeys(epoch.stage for epoch in epochs):
            stages[STAGE_TITLES[stage]] = [epoch for epoch in epochs if epoch.stage == stage]
    return stages


def _ranking(predictions: Predictions, final: dict[str, Any]) -> tuple[list[Chart], list[str]]:
    """Charts of the classes that are ranked worst, and their names; of two classes the second."""
    names = predictions.classes
    areas = {at: final["per_class"][name]["roc_auc"] for at, name in enumerate(names)}
    drawn = sorted((at for at, area in areas.items() if area is not None), key=lambda at: areas[at])
    drawn = drawn and [1] if len(names) == 2 else drawn[: charts.MOST_CLASSES]
    if not drawn:
        return [], []
    # Long names may be shortened to the same one.
    curves = [(shown(names[at], 24), predictions.labels == at, predictions.probabilities[:, at]) for at in drawn]
    drawings = charts.ranking(
        [(name, roc(*each)) for name, *each in curves],
        [(name, precision_recall(*each)) for name, *each in curves],
    )
    return drawings, [names[at] for at in drawn]


def _reliability(calibration: dict[str, Any] | None) -> str:
    if not calibration:
        return ""
    names = {"before": "as the model says", "after": "scaled"}
    return charts.reliability(
        {
            name: [
                (each["confidence"], each["accuracy"], each["images"])
                for each in calibration[key]["bins"]
                if each["images"]
            ]
            for key, name in names.items()
        }
    )


def _slider(predictions: Predictions, calibration: dict[str, Any] | None) -> list[tuple[float, int, int, float]]:
    """For each threshold: itself, test images that get an answer, those right, and the bound of the precision."""
    temperature = calibration["temperature"] if calibration else 1.0
    confidence = apply_temperature(predictions.probabilities, temperature).max(axis=1)
    thresholds = np.arange(_STEPS + 1) / _STEPS
    answered = np.array([(confidence >= each).sum() for each in thresholds])
    right = np.array([(predictions.right & (confidence >= each)).sum() for each in thresholds])
    bounds = clopper_pearson_lower_bounds(right, answered)
    columns = (thresholds.tolist(), answered.tolist(), right.tolist(), np.round(bounds, 5).tolist())
    return list(zip(*columns, strict=True))


def _start(metrics: dict[str, Any]) -> int:
    """Where the slider stands at first: at the first threshold of the abstention table."""
    thresholds = [each["threshold"] for each in metrics["abstention"] if each["threshold"] is not None]
    return round(_STEPS * (thresholds[0] if thresholds else 1 / len(metrics["classes"])))


def _galleries(pictures: list[Shown]) -> list[tuple[str, list[dict[str, Any]]]]:
    galleries: dict[str, list[dict[str, Any]]] = {}
    for each in pictures:
        figure = {
            "picture": page.data_address(each.picture),
            "heat": page.data_address(each.heat) if each.heat else "",
            "label": each.label,
            "predicted": each.predicted,
            "probability": each.probability,
            "probability_label": each.probability_label,
            "path": each.path,
        }
        galleries.setdefault(each.gallery, []).append(figure)
    return list(galleries.items())


def _more(curve: LearningCurve) -> str:
    """What more images would bring, in words."""
    low, high = (100 * bound for bound in curve.gain_interval)
    about = f"about {100 * curve.gain:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"
    if high < 0.5:
        return f"Doubling the training set of {curve.images:,}: {about}. More of the same pictures would hardly help."
    if low <= 0.05:
        return f"Doubling the training set of {curve.images:,}: {about}. It may help, or not."
    return f"Doubling the training set of {curve.images:,}: {about}."


def _card(model: dict[str, Any], command: str, metrics: dict[str, Any]) -> dict[str, str]:
    """The model card: what it is for, on what it was made, and what it cannot do."""
    final = metrics["test"]
    evaluated = [item for item in final["per_class"].items() if item[1]["images"]]
    weakest = min(evaluated, key=lambda item: (item[1]["recall"], item[0]))
    low, high = (100 * bound for bound in weakest[1]["recall_interval"])
    calibration = metrics["calibration"]
    return {
        "What it does": f"Gives each of {len(model['classes'])} classes a probability: "
        f"{', '.join(shown(name) for name in model['classes'][:12])}{', …' if len(model['classes']) > 12 else ''}.",
        "What it takes": f"RGB pixels, 0 to 255, of any size; it resizes them to {model['image_size']} x "
        f"{model['image_size']} itself.",
        "What it cannot": "Say that a picture shows none of its classes, or do well on pictures of another kind than "
        "those it was tested on.",
        "Where it is weakest": f"{shown(weakest[0])}: recall {100 * weakest[1]['recall']:.1f} % "
        f"({low:.1f} to {high:.1f}) on {weakest[1]['images']:,} test pictures.",
        "How it was tested": f"Once, on {final['images']:,} pictures that chose nothing; intervals are at the 95 % "
        f"level, those without a formula from {final['resamples']:,} bootstrap resamples with seed "
        f"{metrics['bootstrap_seed']}.",
        "Probabilities": f"Divide its logits by {calibration['temperature']:.2f} to take them at their word."
        if calibration
        else "Not calibrated: there were no validation pictures.",
        **({"Command": command} if command else {}),
    }


def _facts(model: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "backbone": model["backbone"],
        **_flat(model["recipe"]),
        **{f"{name} data": digest for name, digest in model["dataset"].items()},
        "test data": metrics["test_data"],
        **model["versions"],
        "model.keras (SHA-256)": model["sha256"],
    }


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}: ") if isinstance(value, dict) else {above + name: value}
    return flat
