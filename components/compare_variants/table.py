"""The table of variants, worked out of their evaluations."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from headstart.components.core.artifacts.evaluation import FINAL, read_metrics, read_models
from headstart.components.core.artifacts.predictions import (
    PREDICTIONS,
    VALIDATION,
    Predictions,
    read_predictions,
)
from headstart.components.core.metrics.comparison import compare_predictions
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL, Interval, cross_entropies
from headstart.components.core.recipes.variants import Variant
from headstart.components.core.util.errors import HeadstartError

FORMAT = "headstart-comparison/1"


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A variant, and what its evaluation says.

    Attributes:
        variant: What was trained.
        metrics: Content of `metrics.json`.
        model: What its `model.json` says.
        test: Its answers to the test images.
        validation: Its answers to the validation images.
    """

    variant: Variant
    metrics: dict[str, Any]
    model: dict[str, Any]
    test: Predictions
    validation: Predictions


@dataclasses.dataclass(frozen=True)
class Difference:
    """A variant beside the chosen one, on the same test images.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``, by McNemar's exact test.
        only_this: Test images that only this variant gets right.
        only_chosen: Those that only the chosen one gets right.
        accuracy: This one's less the chosen one's.
        accuracy_interval: From the paired bootstrap.
        log_loss: Likewise, in nats; below 0 this one is better.
        log_loss_interval: Likewise.
    """

    verdict: str
    only_this: int
    only_chosen: int
    accuracy: float
    accuracy_interval: Interval
    log_loss: float
    log_loss_interval: Interval


@dataclasses.dataclass(frozen=True)
class Row:
    """A variant; figures are of test images unless they say otherwise.

    Attributes:
        name: What it is called.
        method: How it was trained.
        backbone: What it stands on.
        image_size: Side in pixels.
        accuracy: Share right.
        accuracy_interval: Wilson, at the 95 % level.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Bootstrap, at the 95 % level.
        validation_accuracy: Share right of the validation images.
        validation_log_loss: Mean cross-entropy on them, which chooses.
        seconds: That training took.
        accelerators: That its process had.
        accelerator_seconds: The product of both: what it costs where accelerators are paid for by time.
        parameters: Weights of the network.
        difference: To the chosen variant; None for that one itself.
    """

    name: str
    method: str
    backbone: str
    image_size: int
    accuracy: float
    accuracy_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    validation_accuracy: float
    validation_log_loss: float
    seconds: float
    accelerators: int
    accelerator_seconds: float
    parameters: int
    difference: Difference | None


@dataclasses.dataclass(frozen=True)
class Table:
    """All variants.

    Attributes:
        classes: Class names.
        test_data: Digest of the test set.
        validation_data: Digest of the validation set.
        images: Test images.
        validation_images: Validation images.
        chosen: Name of the variant with the least validation log loss.
        level: At which all intervals of differences hold together.
        rows: In the order in which they were asked for.
    """

    classes: list[str]
    test_data: str
    validation_data: str
    images: int
    validation_images: int
    chosen: str
    level: float
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """What docs/comparison.schema.json describes."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


def read_entrant(variant: Variant, evaluation: Path) -> Entrant:
    """Reads a variant's evaluation.

    Args:
        variant: What was trained.
        evaluation: Folder that `evaluate_model` made.

    Raises:
        HeadstartError: It is none, is damaged, or was made without validation images.
    """
    metrics = read_metrics(evaluation)
    if metrics["validation_data"] is None or not (evaluation / VALIDATION).exists():
        raise HeadstartError(
            f"the evaluation of variant {variant.name!r} has no validation images, which choose; pass it some"
        )
    return Entrant(
        variant,
        metrics,
        read_models(evaluation)["models"][FINAL],
        read_predictions(evaluation / PREDICTIONS),
        read_predictions(evaluation / VALIDATION),
    )


def tabulate(entrants: list[Entrant]) -> Table:
    """Chooses by validation images, and compares on test images.

    The variant with the least validation log loss is the chosen one. Each of the others is laid beside it on the test
    images, which had no part in the choice, at a level that makes all differences together hold at 95 %
    (Bonferroni; O. J. Dunn, JASA 56, 1961): with more variants, one that is better by chance is no likelier.

    Args:
        entrants: At least two.

    Raises:
        HeadstartError: They were evaluated on different images.
    """
    first = entrants[0]
    for each in entrants[1:]:
        for data in ("test_data", "validation_data"):
            if each.metrics[data] != first.metrics[data]:
                raise HeadstartError(
                    f"variants {first.variant.name!r} and {each.variant.name!r} were evaluated on different images "
                    f"({data} {first.metrics[data]} and {each.metrics[data]}); give all the same split"
                )
    losses = [
        float(cross_entropies(each.validation.labels, each.validation.probabilities).mean()) for each in entrants
    ]
    chosen = entrants[int(np.argmin(losses))]
    level = (1 - CONFIDENCE_LEVEL) / 2 / (len(entrants) - 1)
    return Table(
        classes=chosen.metrics["classes"],
        test_data=chosen.metrics["test_data"],
        validation_data=chosen.metrics["validation_data"],
        images=len(chosen.test.labels),
        validation_images=len(chosen.validation.labels),
        chosen=chosen.variant.name,
        level=CONFIDENCE_LEVEL,
        rows=[
            _row(each, loss, None if each is chosen else _difference(each.test, chosen.test, level))
            for each, loss in zip(entrants, losses, strict=True)
        ],
    )


def _row(entrant: Entrant, validation_log_loss: float, difference: Difference | None) -> Row:
    figures, model = entrant.metrics[FINAL], entrant.model
    return Row(
        name=entrant.variant.name,
        method=entrant.variant.method,
        backbone=model["backbone"],
        image_size=model["image_size"],
        accuracy=figures["accuracy"],
        accuracy_interval=tuple(figures["accuracy_interval"]),
        log_loss=figures["log_loss"],
        log_loss_interval=tuple(figures["log_loss_interval"]),
        validation_accuracy=float(entrant.validation.right.mean()),
        validation_log_loss=validation_log_loss,
        seconds=model["seconds"],
        accelerators=model["accelerators"],
        accelerator_seconds=model["seconds"] * model["accelerators"],
        parameters=model["parameters"],
        difference=difference,
    )


def _difference(this: Predictions, chosen: Predictions, level: float) -> Difference:
    found = compare_predictions(this, chosen, level, min_images=1)
    # Both exist wherever there is an image, and evaluations have some.
    assert found.accuracy_difference is not None and found.accuracy_interval  # noqa: S101 - for the type checker
    assert found.log_loss_difference is not None and found.log_loss_interval  # noqa: S101 - likewise
    return Difference(
        found.verdict,
        found.only_candidate,
        found.only_champion,
        found.accuracy_difference,
        found.accuracy_interval,
        found.log_loss_difference,
        found.log_loss_interval,
    )
