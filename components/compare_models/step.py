"""The gate: whether a new model may take the place of the one in use."""

import dataclasses
from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.decision import FORMAT
from headstart.components.core.artifacts.predictions import CHAMPION, PREDICTIONS, Predictions, read_predictions
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
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging

_ROUNDING = 1e-9
_REASONS = 5


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the gate decides.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        reasons: In sentences.
        below: Floors that are missed, in sentences.
        comparison: With the champion; None where there is none.
        gate: How it was decided.
        chance: The new model beside chance; None where there is a champion.
    """

    verdict: str
    reasons: list[str]
    below: list[str]
    comparison: Comparison | None
    gate: Gate
    chance: ChanceComparison | None = None


@full_disk_in_one_line()
def compare_models(evaluation: Path, decision: Path, summary: Path, gate: Gate) -> str:
    """Decides, and says why.

    A model that misses a floor is ``worse``, whatever it is compared with. Without a champion one that meets them and
    is shown to be better than chance is ``better``: than none. If the latter cannot be told, the verdict is ``cannot
    tell``, unless `min_accuracy` is 0.

    Args:
        evaluation: Folder of `predictions.parquet`, and of `champion.parquet` if there is a champion.
        decision: The JSON file to write.
        summary: The Markdown file to write.
        gate: How it is decided.

    Returns:
        The verdict.

    Raises:
        HeadstartError: Predictions are missing, damaged, or of different images.
    """
    start_logging()
    candidate = read_predictions(evaluation / PREDICTIONS)
    champion = read_predictions(evaluation / CHAMPION) if (evaluation / CHAMPION).exists() else None
    taken = decide(candidate, champion, gate)
    for path in (decision, summary):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(decision, {"format": FORMAT, **dataclasses.asdict(taken)})
    summary.write_text(_in_words(taken), encoding="utf-8")
    event("decision", verdict=taken.verdict, why="; ".join(taken.reasons))
    return taken.verdict


def decide(candidate: Predictions, champion: Predictions | None, gate: Gate) -> Decision:
    """Decides on predictions of the same test images.

    Args:
        candidate: Of the new model.
        champion: Of the model in use; None for a first publication.
        gate: How it is decided.
    """
    below = _below(candidate, champion, gate.floors)
    untested = _untested(candidate, gate.floors)
    if champion is None:
        return _decide_on_first(candidate, gate, below, untested)
    comparison = compare_predictions(candidate, champion, gate.level, gate.min_images)
    if below:
        return Decision(WORSE, _first_of(below), below, comparison, gate)
    return Decision(comparison.verdict, [comparison.reason, *untested], below, comparison, gate)


def _decide_on_first(candidate: Predictions, gate: Gate, below: list[str], untested: list[str]) -> Decision:
    if not candidate.ids:
        raise HeadstartError(
            "there are predictions of no test image, and nothing can be decided; give the test split some"
        )
    sizes = np.bincount(candidate.labels, minlength=len(candidate.classes)).tolist()
    chance = compare_with_chance(
        int(candidate.right.sum()), dict(zip(candidate.classes, sizes, strict=True)), gate.level
    )
    if below:
        return Decision(WORSE, _first_of(below), below, None, gate, chance)
    if chance.excluded or gate.floors.min_accuracy == 0:
        reasons = ["there is no model in use, and the floors are met", chance.in_words(), *untested]
        return Decision(BETTER, reasons, below, None, gate, chance)
    way_out = "add test images, or publish it all the same with --min-accuracy 0"
    return Decision(CANNOT_TELL, [f"{chance.in_words()}; {way_out}", *untested], below, None, gate, chance)


def _first_of(below: list[str]) -> list[str]:
    """The floors that are missed, in as many sentences as one reads."""
    more = len(below) - _REASONS
    return [*below[:_REASONS], f"{more} more floors are missed"] if more > 1 else below


def _untested(candidate: Predictions, floors: Floors) -> list[str]:
    """Classes that a floor on recall is asked of and no test image shows, in a sentence."""
    there = set(candidate.labels.tolist())
    names = [repr(name) for label, name in enumerate(candidate.classes) if label not in there]
    if not names or not floors.min_recall:
        return []
    return [f"min_recall {floors.min_recall} could not be held against {', '.join(names)}: there is no test image"]


def _below(candidate: Predictions, champion: Predictions | None, floors: Floors) -> list[str]:
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


def _in_words(decision: Decision) -> str:
    lines = [f"# {decision.verdict.capitalize()}", "", *(f"- {reason}" for reason in decision.reasons)]
    comparison = decision.comparison
    if comparison and comparison.accuracy_interval and comparison.log_loss_interval:
        level = f"{100 * (1 - 2 * comparison.level):.0f} %"
        rows = (
            ("accuracy", comparison.accuracy_difference, comparison.accuracy_interval),
            ("log loss (nats)", comparison.log_loss_difference, comparison.log_loss_interval),
        )
        lines += ["", f"| candidate less champion | difference | {level} interval |", "| --- | --- | --- |"]
        lines += [f"| {name} | {value:+.4f} | {low:+.4f} to {high:+.4f} |" for name, value, (low, high) in rows]
        lines += [
            "",
            f"{comparison.images} test images compared; {comparison.seen} left out, as the champion saw them.",
        ]
    return "\n".join(lines) + "\n"
