"""The gate: whether a new model may take the place of the one in use."""

import dataclasses
from pathlib import Path

import numpy as np

from headstart.components.core import slices
from headstart.components.core.comparison import BETTER, LEVEL, MIN_IMAGES, WORSE, Comparison, compare
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import full_disk_in_one_line, write_json
from headstart.components.core.logs import event, start_logging
from headstart.components.core.predictions import CHAMPION, PREDICTIONS, Predictions, read_predictions

FORMAT = "headstart-decision/1"

_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Floors:
    """What a new model has to reach, whatever the one in use does; all of it on the test images, as measured.

    Attributes:
        min_accuracy: Accuracy.
        min_recall: Recall of each class that has test images.
        max_slice_drop: How much lower than the champion's its accuracy may be on any slice of 20 images that the
            champion has not seen; 1: no matter.

    Raises:
        HeadstartError: One is no share.
    """

    min_accuracy: float = 0.0
    min_recall: float = 0.0
    max_slice_drop: float = 1.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1:
                raise HeadstartError(f"{name} {value}: give a share from 0 to 1, such as 0.9")


@dataclasses.dataclass(frozen=True)
class Gate:
    """How a decision is taken.

    Attributes:
        level: Share of equal models that may be taken for better, at most.
        min_images: Test images that have to be left for a comparison.
        floors: What has to be reached in any case.

    Raises:
        HeadstartError: The level is none.
    """

    level: float = LEVEL
    min_images: int = MIN_IMAGES
    floors: Floors = dataclasses.field(default_factory=Floors)

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise HeadstartError(f"level {self.level}: give a share above 0 and below 0.5, such as 0.05")


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the gate decides.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        reasons: In sentences.
        below: Floors that are missed, in sentences.
        comparison: With the champion; None where there is none.
        gate: How it was decided.
    """

    verdict: str
    reasons: list[str]
    below: list[str]
    comparison: Comparison | None
    gate: Gate


@full_disk_in_one_line()
def compare_models(evaluation: Path, decision: Path, summary: Path, gate: Gate) -> str:
    """Decides, and says why.

    A model that misses a floor is ``worse``, whatever it is compared with. Without a champion one that meets them is
    ``better``: than none.

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
    comparison = compare(candidate, champion, gate.level, gate.min_images) if champion else None
    below = _below(candidate, champion, gate.floors)
    if below:
        return Decision(WORSE, below, below, comparison, gate)
    if comparison is None:
        return Decision(BETTER, ["there is no model in use, and the floors are met"], below, None, gate)
    return Decision(comparison.verdict, [comparison.reason], below, comparison, gate)


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
        for each in slices.slices_of(candidate):
            rows = each.rows & fresh
            if rows.sum() < slices.MIN_IMAGES:
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
