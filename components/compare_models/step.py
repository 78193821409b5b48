"""Publication gate: decides whether a candidate may replace the champion."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from headstart.components.core.artifacts.decision import DECISION_FORMAT
from headstart.components.core.artifacts.evaluation import METRICS, read_metrics
from headstart.components.core.artifacts.predictions import (
    CHAMPION_PREDICTIONS,
    PREDICTIONS,
    Predictions,
    read_predictions,
)
from headstart.components.core.metrics.clusters import measure_sample
from headstart.components.core.metrics.comparison import (
    BETTER,
    CANNOT_TELL,
    WORSE,
    ChanceComparison,
    Comparison,
    compare_predictions,
    compare_with_chance,
)
from headstart.components.core.metrics.gate import Floors, Gate
from headstart.components.core.metrics.slices import MIN_SLICE_IMAGES, find_slices
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.core.util.printable import describe_groups

_ROUNDING = 1e-9
_MAX_REASONS = 5


@dataclasses.dataclass(frozen=True)
class Decision:
    """Decision of the gate.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        reasons: Reasons in sentences.
        below: Missed floors in sentences.
        comparison: Comparison with the champion; None without a champion.
        gate: Rules of the decision.
        chance: Comparison with chance; None if there is a champion.
    """

    verdict: str
    reasons: list[str]
    below: list[str]
    comparison: Comparison | None
    gate: Gate
    chance: ChanceComparison | None = None


@explain_full_disk()
def compare_models(evaluation: Path, decision: Path, summary: Path, gate: Gate) -> str:
    """Decides whether a candidate may replace the champion, and writes the decision with its reasons.

    A candidate that misses a floor is ``worse``, whatever it is compared with. Without a champion, a candidate that
    meets the floors is ``better`` if it is shown to be better than chance or `min_accuracy` is 0, and ``cannot tell``
    otherwise.

    Args:
        evaluation: Folder of `predictions.parquet`, and of `champion.parquet` if there is a champion.
        decision: JSON file to write.
        summary: Markdown file to write.
        gate: Rules of the decision.

    Returns:
        The verdict.

    Raises:
        HeadstartError: If predictions are missing, damaged, or of different images.
    """
    start_logging()
    candidate = read_predictions(evaluation / PREDICTIONS)
    champion = (
        read_predictions(evaluation / CHAMPION_PREDICTIONS) if (evaluation / CHAMPION_PREDICTIONS).exists() else None
    )
    result = decide(candidate, champion, gate)
    if (evaluation / METRICS).exists() and (folds := read_metrics(evaluation).get("cross_validation")):
        result = dataclasses.replace(result, reasons=[*result.reasons, _describe_folds(folds, champion is not None)])
    for path in (decision, summary):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(decision, {"format": DECISION_FORMAT, **dataclasses.asdict(result)})
    summary.write_text(_markdown(result, candidate.grouping), encoding="utf-8")
    event("decision", verdict=result.verdict, why="; ".join(result.reasons))
    return result.verdict


def _describe_folds(folds: dict[str, Any], compared: bool) -> str:
    """What is approximate in a decision on predictions out of fold."""
    of = "each model on images that it was not trained on" if compared else "by models that had not seen the image"
    return (
        f"the predictions are out of fold, of {folds['folds']} folds, {of}; the test takes them for independent, "
        "which they are nearly, so its level is approximate"
    )


def decide(candidate: Predictions, champion: Predictions | None, gate: Gate) -> Decision:
    """Decides by the predictions for the same test images.

    Args:
        candidate: Predictions of the candidate.
        champion: Predictions of the champion; None for a first publication.
        gate: Rules of the decision.
    """
    below = _missed_floors(candidate, champion, gate.floors)
    untested = _untested_classes(candidate, gate.floors)
    if champion is None:
        return _decide_on_first(candidate, gate, below, untested)
    comparison = compare_predictions(candidate, champion, gate.level, gate.min_images)
    if below:
        return Decision(WORSE, _first_reasons(below), below, comparison, gate)
    return Decision(comparison.verdict, [comparison.reason, *untested], below, comparison, gate)


def _decide_on_first(candidate: Predictions, gate: Gate, below: list[str], untested: list[str]) -> Decision:
    if not candidate.ids:
        raise HeadstartError("there are no test images, by which the gate decides; give the test split some")
    sizes = np.bincount(candidate.labels, minlength=len(candidate.classes)).tolist()
    sample = measure_sample(candidate.right, candidate.clusters, candidate.grouping)
    per_class = dict(zip(candidate.classes, sizes, strict=True))
    chance = compare_with_chance(int(candidate.right.sum()), per_class, gate.level, sample)
    if below:
        return Decision(WORSE, _first_reasons(below), below, None, gate, chance)
    if chance.excluded or gate.floors.min_accuracy == 0:
        reasons = ["there is no champion, and the floors are met", chance.in_words(), *untested]
        return Decision(BETTER, reasons, below, None, gate, chance)
    way_out = "add test images, or publish it anyway with --min-accuracy 0"
    return Decision(CANNOT_TELL, [f"{chance.in_words()}; {way_out}", *untested], below, None, gate, chance)


def _first_reasons(below: list[str]) -> list[str]:
    """The first missed floors, and the number of the others."""
    more = len(below) - _MAX_REASONS
    return [*below[:_MAX_REASONS], f"{more} more floors are missed"] if more > 1 else below


def _untested_classes(candidate: Predictions, floors: Floors) -> list[str]:
    """Classes without test images, whose recall cannot be compared with the floor, in a sentence."""
    there = set(candidate.labels.tolist())
    names = [repr(name) for label, name in enumerate(candidate.classes) if label not in there]
    if not names or not floors.min_recall:
        return []
    return [f"min_recall {floors.min_recall} could not be checked for {', '.join(names)}: there is no test image"]


def _missed_floors(candidate: Predictions, champion: Predictions | None, floors: Floors) -> list[str]:
    below = []
    right = candidate.right
    accuracy = float(right.mean()) if len(right) else 0.0
    if accuracy < floors.min_accuracy - _ROUNDING:
        below.append(f"accuracy {accuracy:.4f} is below min_accuracy {floors.min_accuracy}")
    for label, name in enumerate(candidate.classes):
        of_class = candidate.labels == label
        if of_class.any() and right[of_class].mean() < floors.min_recall - _ROUNDING:
            below.append(f"recall {right[of_class].mean():.4f} of {name} is below min_recall {floors.min_recall}")
    if champion is not None and floors.max_slice_drop < 1:
        fresh = ~champion.seen
        for each in find_slices(candidate):
            rows = each.rows & fresh
            if rows.sum() < MIN_SLICE_IMAGES:
                continue
            drop = float(np.mean(champion.right[rows]) - np.mean(right[rows]))
            if drop > floors.max_slice_drop + _ROUNDING:
                below.append(
                    f"on {each.column} = {each.value} accuracy is {drop:.4f} lower than the champion's, more than "
                    f"max_slice_drop {floors.max_slice_drop}"
                )
    return below


def _markdown(decision: Decision, unit: str) -> str:
    lines = [f"# {decision.verdict.capitalize()}", "", *(f"- {reason}" for reason in decision.reasons)]
    comparison = decision.comparison
    if comparison and comparison.accuracy_interval and comparison.log_loss_interval:
        level = f"{100 * (1 - 2 * comparison.level):.0f} %"
        rows = (
            ("accuracy", comparison.accuracy_difference, comparison.accuracy_interval),
            ("log loss (nats)", comparison.log_loss_difference, comparison.log_loss_interval),
        )
        lines += ["", f"| candidate minus champion | difference | {level} interval |", "| --- | --- | --- |"]
        lines += [f"| {name} | {value:+.4f} | {low:+.4f} to {high:+.4f} |" for name, value, (low, high) in rows]
        lines += [
            "",
            f"{comparison.images} test images{describe_groups(comparison.groups, unit)} compared; {comparison.seen} "
            "left out, as the champion saw them.",
        ]
    return "\n".join(lines) + "\n"
