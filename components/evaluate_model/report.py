"""Evaluation report: one HTML page that needs no network, rendered from an evaluation's folder alone."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.evaluation import (
    THUMBNAILS,
    read_evaluation_run,
    read_metrics,
    read_models,
    temperature_of,
)
from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.artifacts.hygiene import read_hygiene
from headstart.components.core.artifacts.model import FINE_TUNED_SHARE
from headstart.components.core.artifacts.predictions import PREDICTIONS, Predictions, read_predictions
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    LearningCurve,
    read_learning_curve,
)
from headstart.components.core.artifacts.selection import Selection
from headstart.components.core.artifacts.thumbnails import Thumbnail, read_thumbnails
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.clusters import read_sample
from headstart.components.core.metrics.comparison import BETTER, CANNOT_TELL, WORSE, compare_with_chance
from headstart.components.core.metrics.statistics import Interval, wilson_interval
from headstart.components.core.recipes.recipe import DEFAULT_RECIPE, load_recipe
from headstart.components.core.reports import page
from headstart.components.core.reports.calibration_words import describe_change, describe_temperature, is_scaled
from headstart.components.core.reports.charts import Chart
from headstart.components.core.reports.cross_validation_words import describe_cross_validation
from headstart.components.core.reports.group_words import describe_grouped_test
from headstart.components.core.reports.page import shown
from headstart.components.core.reports.training_curves import draw_training_curves
from headstart.components.core.reports.training_words import describe_training
from headstart.components.core.reports.unfamiliarity_words import describe_threshold
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import describe_groups, pluralize
from headstart.components.evaluate_model import charts, csv_tables
from headstart.components.evaluate_model.class_balance import compute_class_balance
from headstart.components.evaluate_model.feature_map import read_feature_map
from headstart.components.evaluate_model.image_browser import SUSPECTS, browse_images, place_images
from headstart.components.evaluate_model.ranking import precision_recall, roc
from headstart.components.evaluate_model.thresholds import (
    SLIDER_STEPS,
    TABLE_THRESHOLDS,
    compute_class_thresholds,
    compute_slider,
    count_confidences,
    thresholds_as_json,
)
from headstart.components.evaluate_model.unfamiliar_images import find_least_familiar

PHASE_TITLES = {"from_scratch": "From scratch", "head": "Head alone", "fine_tuning": "Fine-tuned"}
CHAMPION_TITLE = "Champion"

_SIDE_BY_SIDE = ("champion", "from_scratch", "head", "test")
_MATRIX_CLASSES, _CLASS_ROWS, _CONFUSIONS, _SLICES = 20, 50, 12, 60
_BALANCE_ROWS, _THRESHOLD_CLASSES = 50, 50


def render_report(evaluation: Path) -> str:
    """Renders the report.

    Args:
        evaluation: Folder that `evaluate_model` made.

    Raises:
        HeadstartError: If the folder is no evaluation, or a file in it is damaged.
    """
    metrics = read_metrics(evaluation)
    made = read_models(evaluation)
    models = made["models"]
    predictions = read_predictions(evaluation / PREDICTIONS)
    curve = read_learning_curve(evaluation / LEARNING_CURVE)
    final, champion = metrics["test"], metrics.get("champion")
    classes = metrics["classes"]
    thumbnails = read_thumbnails(evaluation / THUMBNAILS)
    probabilities = apply_temperature(predictions.probabilities, temperature_of(metrics))
    browser = browse_images(predictions, probabilities, thumbnails)
    feature_map = read_feature_map(evaluation)
    points = place_images(browser, predictions, probabilities, feature_map) if feature_map else []
    slider = compute_slider(predictions, probabilities)
    thresholds = compute_class_thresholds(predictions, probabilities, _THRESHOLD_CLASSES)
    confidences = count_confidences(predictions, probabilities)
    balance = compute_class_balance(models["test"], metrics)
    phases = _histories(models)
    ranking = _ranking_curves(predictions, final)
    candidates = [
        (CHAMPION_TITLE if key == "champion" else _title(models[key]), key) for key in _SIDE_BY_SIDE if key in metrics
    ]
    evaluated = [at for at, name in enumerate(classes) if final["per_class"][name]["images"]]
    run = read_evaluation_run(evaluation)
    hygiene, final_model = read_hygiene(evaluation), models["test"]
    order = sorted(evaluated, key=lambda at: (final["per_class"][classes[at]]["recall"], at))
    return page.render(
        __package__,
        "report.html.j2",
        page.PageHeader(
            kind="Evaluation report",
            date=run.date,
            data=page.describe_data(hygiene, classes),
            backbone=page.describe_backbone(final_model["backbone"], final_model["image_size"]),
            run=run.run or made["command"],
        ),
        verdict=describe_verdict(metrics),
        expect=final["accuracy_interval"],
        of_groups=describe_groups(final.get("groups"), metrics.get("grouping") or ""),
        group_words=describe_grouped_test(metrics),
        units=pluralize(metrics["grouping"], 2) if metrics.get("grouping") else "",
        cross_validation_words=describe_cross_validation(metrics),
        final=final,
        champion=champion,
        comparison=metrics["comparison"],
        classes=classes,
        metrics=metrics,
        key_metrics=_key_metrics(final, champion),
        candidates=[(title, metrics[key], key == "test") for title, key in candidates],
        training_words=describe_training(models["test"]),
        training={title: draw_training_curves(epochs, title) for title, epochs in phases.items()},
        matrix=final["confusion_matrix"] if len(classes) <= _MATRIX_CLASSES else None,
        largest=max(map(max, final["confusion_matrix"])),
        confusions=final["confusions"][:_CONFUSIONS],
        not_evaluated=[name for name in classes if not final["per_class"][name]["images"]],
        rows=[(classes[at], final["per_class"][classes[at]]) for at in order[:_CLASS_ROWS]],
        slices=metrics["slices"][:_SLICES],
        ranking=ranking,
        reliability=_reliability_diagram(metrics["calibration"]),
        calibration_rows=_calibration_rows(metrics["calibration"]),
        calibration_words=_describe_calibration(metrics["calibration"]),
        unfamiliarity=metrics.get("unfamiliarity"),
        unfamiliarity_words=describe_threshold(found) if (found := metrics.get("unfamiliarity")) else [],
        least_familiar=_find_least_familiar(predictions, thumbnails),
        histogram=charts.draw_confidence_histogram(confidences),
        slider=slider,
        start=_slider_start(metrics),
        thresholds=thresholds,
        table_thresholds=TABLE_THRESHOLDS,
        class_steps=thresholds_as_json(thresholds),
        browser=browser,
        scaled=bool(metrics["calibration"]) and is_scaled(metrics["calibration"]),
        suspects=[each for each in thumbnails if each.gallery == SUSPECTS],
        points=points,
        feature_map=feature_map,
        balance=balance,
        balance_rows=_BALANCE_ROWS,
        label_errors=LABEL_ERRORS,
        label_words=_describe_labels(metrics),
        curve=curve,
        learning=charts.draw_learning_curve(curve) if curve else "",
        more=_describe_learning_curve(curve) if curve else "",
        hygiene=hygiene,
        card=_model_card(models["test"], made["command"], metrics),
        differences=_recipe_differences(models["test"]["recipe"]),
        default_recipe=DEFAULT_RECIPE,
        facts=_recipe_rows(models["test"], metrics),
        tables={
            **csv_tables.metrics_tables(metrics, candidates),
            "training": csv_tables.training_table(phases),
            "curves": csv_tables.ranking_table(predictions, ranking[1]),
            "confidence": csv_tables.histogram_table(confidences),
            "thresholds": csv_tables.thresholds_table(slider, thresholds),
            "feature_map": csv_tables.map_table(points, classes),
            "class_balance": csv_tables.balance_table(balance),
            **({"learning_curve": csv_tables.learning_table(curve)} if curve else {}),
        },
    )


@dataclasses.dataclass(frozen=True)
class _UnfamiliarImage:
    """One of the least familiar test images.

    Attributes:
        path: Path of the image in its source.
        label: Class of the image.
        predicted: Most probable class.
        unfamiliarity: Its unfamiliarity.
        picture: Thumbnail as a `data:` URL; empty for none.
    """

    path: str
    label: str
    predicted: str
    unfamiliarity: float
    picture: str


def _find_least_familiar(predictions: Predictions, thumbnails: Sequence[Thumbnail]) -> list[_UnfamiliarImage]:
    """The least familiar test images, the furthest first; empty without unfamiliarities."""
    if predictions.unfamiliarity is None:
        return []
    pictures = {each.id: each.picture for each in thumbnails if each.gallery != SUSPECTS}
    names, predicted = predictions.classes, predictions.predicted
    return [
        _UnfamiliarImage(
            path=predictions.paths[row],
            label=names[predictions.labels[row]],
            predicted=names[predicted[row]],
            unfamiliarity=float(predictions.unfamiliarity[row]),
            picture=page.data_url(picture) if (picture := pictures.get(predictions.ids[row])) else "",
        )
        for row in find_least_familiar(predictions)
    ]


def describe_verdict(metrics: dict[str, Any]) -> str:
    """The result of an evaluation in one sentence.

    Args:
        metrics: Content of `metrics.json`.
    """
    final, comparison = metrics["test"], metrics["comparison"]
    unit = metrics.get("grouping") or ""
    kind = "cross-validated" if metrics.get("cross_validation") else "test"
    accuracy = (
        f"{kind} accuracy {100 * final['accuracy']:.1f} % on {final['images']:,} images"
        f"{describe_groups(final.get('groups'), unit)}"
    )
    if comparison is None:
        sizes = {name: each["images"] for name, each in final["per_class"].items()}
        chance = compare_with_chance(round(final["accuracy"] * final["images"]), sizes, sample=read_sample(metrics))
        if not chance.excluded and chance.share < 1:
            always = f"always predicting {shown(chance.label)} reaches {100 * chance.share:.1f} %"
            return f"Not shown to be better than chance: {accuracy}, and {always}"
        low, high = (100 * bound for bound in final["accuracy_interval"])
        return f"{_capitalise(accuracy)}; on new images like these, expect {low:.1f} % to {high:.1f} %"
    if comparison["accuracy"] is None:
        return f"{_capitalise(accuracy)}; it cannot be told whether that is better than the champion"
    both = (
        f"{kind} accuracy {100 * comparison['accuracy']:.1f} % against {100 * comparison['champion_accuracy']:.1f} % "
        f"on {comparison['images']:,} images{describe_groups(comparison.get('groups'), unit)}"
    )
    return {
        BETTER: f"Better than the champion: {both}",
        WORSE: f"Worse than the champion: {both}",
        CANNOT_TELL: f"Not shown to be better than the champion: {both}",
    }[comparison["verdict"]]


def _title(model: dict[str, Any]) -> str:
    kept = model["stage"] == "fine_tuning" and model["metrics"].get(FINE_TUNED_SHARE) == 0
    return "Fine-tuned (head kept)" if kept else PHASE_TITLES[model["stage"]]


def _capitalise(text: str) -> str:
    return text[0].upper() + text[1:]


def _key_metrics(final: dict[str, Any], champion: dict[str, Any] | None) -> list[tuple[str, str, list[str]]]:
    """Name, explanation, and a text with its interval for each model."""
    rows = [
        ("Accuracy", "share of correct predictions", "accuracy", True),
        ("Balanced accuracy (macro recall)", "mean recall over classes", "balanced_accuracy", True),
        ("F1, macro", "harmonic mean of precision and recall", "macro.f1", True),
        ("ROC AUC, macro", "each class against the rest", "macro.roc_auc", True),
        ("Log loss", "in nats; lower is better", "log_loss", False),
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
    # Without mistakes no resample has any either, and the bootstrap interval has no width.
    if interval[0] == interval[1]:
        return f"{100 * value:.1f} %" if share else f"{value:.3f}"
    if share:
        return f"{100 * value:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _histories(models: dict[str, Any]) -> dict[str, list[Epoch]]:
    """Epochs by phase; the history of a fine-tuned model includes its head's epochs, which are shown once."""
    phases: dict[str, list[Epoch]] = {}
    for key in ("from_scratch", "head", "test"):
        epochs = [Epoch.of(each) for each in models[key]["history"]] if key in models else []
        for phase in dict.fromkeys(epoch.stage for epoch in epochs):
            phases[PHASE_TITLES[phase]] = [epoch for epoch in epochs if epoch.stage == phase]
    return phases


def _ranking_curves(predictions: Predictions, final: dict[str, Any]) -> tuple[list[Chart], list[str]]:
    """Charts of the classes with the lowest ROC AUC, and their names; the second one of two classes."""
    names = predictions.classes
    areas = {at: final["per_class"][name]["roc_auc"] for at, name in enumerate(names)}
    drawn = sorted((at for at, area in areas.items() if area is not None), key=lambda at: areas[at])
    drawn = drawn and [1] if len(names) == 2 else drawn[: charts.MAX_CLASSES]
    if not drawn:
        return [], []
    # A list and no dict, as long names may be shortened to the same one.
    curves = [(shown(names[at], 24), predictions.labels == at, predictions.probabilities[:, at]) for at in drawn]
    drawings = charts.draw_ranking_curves(
        [(name, roc(*each)) for name, *each in curves],
        [(name, precision_recall(*each)) for name, *each in curves],
    )
    return drawings, [names[at] for at in drawn]


def _reliability_diagram(calibration: dict[str, Any] | None) -> str:
    if not calibration:
        return ""
    names = {"before": "uncalibrated", "after": "calibrated"} if is_scaled(calibration) else {"before": "test images"}
    return charts.draw_reliability_diagram(
        {
            name: [
                (each["confidence"], each["accuracy"], _interval(each), each["images"])
                for each in calibration[key]["bins"]
                if each["images"]
            ]
            for key, name in names.items()
        }
    )


def _interval(each: dict[str, Any]) -> Interval:
    """Interval of a bin's accuracy; Wilson's where an earlier version wrote none."""
    if each.get("accuracy_interval"):
        low, high = each["accuracy_interval"]
        return low, high
    return wilson_interval(round(each["accuracy"] * each["images"]), each["images"])


def _calibration_rows(calibration: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    """Name of each calibration metric, and its texts: the model's own; if scaled, the scaled ones and the change."""
    if not calibration:
        return []
    figures = [(calibration["before"], "")]
    if is_scaled(calibration):
        figures.append((calibration["after"], ""))
        if "change" in calibration:
            figures.append((calibration["change"], "+"))
    metrics = (
        ("Log loss", "log_loss", 1, ".4f", ""),
        ("Expected calibration error", "ece", 100, ".1f", " %"),
        ("Brier score", "brier", 1, ".4f", ""),
    )
    rows = []
    for name, key, scale, digits, unit in metrics:
        cells = []
        for values, sign in figures:
            value, low, high = (
                f"{scale * each:{sign}{digits}}" for each in (values[key], *values[f"{key}_interval"])
            )
            cells.append(f"{value}{unit} ({low} to {high})")
        rows.append((name, cells))
    return rows


def _describe_calibration(calibration: dict[str, Any] | None) -> list[str]:
    """Sentences on temperature scaling and on the calibration error."""
    if not calibration:
        return []
    sentences = [describe_temperature(calibration), describe_change(calibration)]
    before = calibration["before"]
    if "ece_if_calibrated" in before:
        low, high = (100 * each for each in before["ece_if_calibrated_interval"])
        sentences.append(
            f"By chance alone, a perfectly calibrated model would show an expected calibration error of "
            f"{100 * before['ece_if_calibrated']:.1f} % ({low:.1f} to {high:.1f}) on as many images."
        )
    return [each for each in sentences if each]


def _slider_start(metrics: dict[str, Any]) -> int:
    """First position of the slider: the first threshold of the abstention table, or that of no abstention."""
    thresholds = [each["threshold"] for each in metrics["abstention"] if each["threshold"] is not None]
    return round(SLIDER_STEPS * (thresholds[0] if thresholds else 1 / len(metrics["classes"])))


def _describe_learning_curve(curve: LearningCurve) -> str:
    """Expected gain from more images in words."""
    low, high = (100 * bound for bound in curve.gain_interval)
    about = (
        f"Doubling the training set of {curve.images:,}: about {100 * curve.gain:+.1f} points "
        f"(95 % interval {low:+.1f} to {high:+.1f})."
    )
    if not curve.covers_sampling:
        return f"{about} The interval covers the random splits alone, not which images were collected."
    if curve.is_gain_sure:
        return f"{about} More images of the same kind help."
    if high < 0.5:
        return f"{about} More images of the same kind hardly help."
    return f"{about} It cannot be told whether more images help."


def _describe_labels(metrics: dict[str, Any]) -> str:
    """Doubtful labels and suspected errors among them in one sentence; empty if no labels were examined."""
    doubtful, suspected = metrics["doubtful_labels"], metrics["suspected_label_errors"]
    if doubtful is None:
        return ""
    if not doubtful:
        return "No label is doubtful: for each training and validation image its own class is the likeliest."
    labels = "1 label is" if doubtful == 1 else f"{doubtful:,} labels are"
    errors = f"{suspected:,} of them {'is' if suspected == 1 else 'are'}" if suspected else "None of them is"
    return (
        f"{labels} doubtful: classifiers that were not trained on the image find another class likelier. {errors} "
        "suspected to be wrong."
    )


def _model_card(model: dict[str, Any], command: str, metrics: dict[str, Any]) -> dict[str, str]:
    """Model card in short: inputs and outputs, evaluation and limitations."""
    final = metrics["test"]
    evaluated = [item for item in final["per_class"].items() if item[1]["images"]]
    weakest = min(evaluated, key=lambda item: (item[1]["recall"], item[0]))
    low, high = (100 * bound for bound in weakest[1]["recall_interval"])
    of_groups = describe_groups(final.get("groups"), metrics.get("grouping") or "")
    calibration = metrics["calibration"]
    selection = metrics.get("selection")
    left_out = Selection(**selection).in_words() if selection else ""
    return {
        "Output": f"A probability for each of {len(model['classes'])} classes: "
        f"{', '.join(shown(name) for name in model['classes'][:12])}{', …' if len(model['classes']) > 12 else ''}.",
        "Training": describe_training(model),
        "Input": f"RGB pixels, 0 to 255, of any size; the model resizes them to {model['image_size']} x "
        f"{model['image_size']}.",
        "Limitations": "An image of none of the classes is still predicted as one of them. The metrics do not hold "
        "for images of another kind than the test images.",
        "Weakest class": f"{shown(weakest[0])}: recall {100 * weakest[1]['recall']:.1f} % "
        f"({low:.1f} to {high:.1f}) on {weakest[1]['images']:,} test images.",
        "Evaluation": f"{_describe_evaluation(metrics, of_groups)} Intervals are at the 95 % level; those without a "
        f"formula are from {final['resamples']:,} bootstrap resamples with seed {metrics['bootstrap_seed']}.",
        "Calibration": describe_temperature(calibration)
        if calibration
        else "Not calibrated, as there were no validation images.",
        **({"Left out": _capitalise(left_out)} if left_out else {}),
        **({"Command": command} if command else {}),
    }


def _describe_evaluation(metrics: dict[str, Any], of_groups: str) -> str:
    if words := describe_cross_validation(metrics):
        return " ".join(words)
    images = f"{metrics['test']['images']:,} test images{of_groups}"
    return f"Once, on {images} that were used neither in training nor to choose anything."


def _recipe_rows(model: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "backbone": model["backbone"],
        **_flat(model["recipe"]),
        **{f"{name} data": digest for name, digest in model["dataset"].items()},
        "test data": metrics["test_data"],
        **model["versions"],
        "model.keras (SHA-256)": model["sha256"],
    }


def _recipe_differences(recipe: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Key, value and default of each setting that differs from the default recipe with the same backbone."""
    own = load_recipe().backbone
    backbone = recipe.get("backbone", own)
    default = load_recipe().override(backbone=backbone)
    with contextlib.suppress(HeadstartError):
        # A backbone that this version does not know has no settings of its own.
        default = default.resolve()
    # By way of JSON, as the recipe comes from there: pairs are lists.
    usual, used = _flat(json.loads(json.dumps(default.redact()))), _flat(recipe)
    changed = [(key, value, usual[key]) for key, value in used.items() if key in usual and value != usual[key]]
    if backbone != own:
        changed.insert(0, ("backbone", backbone, own))
    return [each for each in changed if each[0] != "description"]


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}: ") if isinstance(value, dict) else {above + name: value}
    return flat
