"""Table of variants, computed from their evaluations."""

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
class EvaluatedVariant:
    """A variant with the content of its evaluation.

    Attributes:
        variant: Definition of the variant.
        metrics: Content of `metrics.json`.
        model: Content of its model's `model.json`.
        test: Predictions for the test images.
        validation: Predictions for the validation images; None if it was cross-validated, where the folds' own
            validation images choose.
    """

    variant: Variant
    metrics: dict[str, Any]
    model: dict[str, Any]
    test: Predictions
    validation: Predictions | None

    @property
    def validation_data(self) -> str:
        """Digest of the images that choose: of the validation set, or of all that are cross-validated."""
        return str(self.metrics["validation_data"] if self.validation else self.metrics["test_data"])

    @property
    def validation_loss(self) -> float:
        """Mean cross-entropy on the validation images; if cross-validated, the mean of those of the folds."""
        if self.validation is None:
            return float(self.model["metrics"]["validation_loss"])
        return float(cross_entropies(self.validation.labels, self.validation.probabilities).mean())

    @property
    def validation_accuracy(self) -> float:
        """Share of correct predictions on the validation images, likewise."""
        if self.validation is None:
            return float(self.model["metrics"]["validation_accuracy"])
        return float(self.validation.right.mean())


@dataclasses.dataclass(frozen=True)
class VariantDifference:
    """Difference of a variant from the chosen one, on the same test images.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``, by McNemar's exact test, or with groups by sign flips.
        only_this: Number of test images that only this variant gets right.
        only_chosen: Number of test images that only the chosen variant gets right.
        accuracy: Accuracy of this variant minus that of the chosen one.
        accuracy_interval: Interval of `accuracy` from the paired bootstrap.
        log_loss: Log loss of this variant minus that of the chosen one, in nats; below 0 this one is better.
        log_loss_interval: Interval of `log_loss` from the paired bootstrap.
    """

    verdict: str
    only_this: int
    only_chosen: int
    accuracy: float
    accuracy_interval: Interval
    log_loss: float
    log_loss_interval: Interval


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """Metrics and costs of a variant; metrics are of the test images unless named otherwise.

    Attributes:
        name: Name of the variant.
        method: Training method: ``from_scratch``, ``head`` or ``fine_tuned``.
        backbone: Name of the backbone.
        image_size: Side of the input images in pixels.
        accuracy: Share of correct predictions.
        accuracy_interval: Interval at the 95 % level, as of its evaluation.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Bootstrap interval at the 95 % level.
        validation_accuracy: Share of correct predictions on the validation images.
        validation_log_loss: Mean cross-entropy on the validation images, in nats; the criterion of the choice.
        seconds: Training time.
        accelerators: Number of accelerators of the training process.
        accelerator_seconds: Training time times accelerators: the cost where accelerators are paid for by time.
        parameters: Number of weights of the network.
        difference: Difference from the chosen variant; None for the chosen variant itself.
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
    difference: VariantDifference | None


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """A variant with a lower test log loss than the chosen one, which has the lowest on the validation images.

    Attributes:
        variant: Name of the variant with the lowest test log loss.
        log_loss: Its test log loss minus that of the chosen variant, in nats; below 0.
        log_loss_interval: Interval of `log_loss` from the paired bootstrap, at the table's `level`.
        text: The disagreement in words.
    """

    variant: str
    log_loss: float
    log_loss_interval: Interval
    text: str


@dataclasses.dataclass(frozen=True)
class VariantTable:
    """Metrics and costs of all variants.

    Attributes:
        classes: Class names.
        test_data: Digest of the test set.
        validation_data: Digest of the validation set.
        images: Number of test images.
        validation_images: Number of validation images; 0 if the variants are cross-validated.
        chosen: Name of the variant with the least validation log loss.
        level: Confidence level at which all intervals of differences hold together.
        rows: Rows in the order of the variants.
        test_disagreement: Variant with a lower test log loss than the chosen one; None if the chosen one has the
            lowest.
        groups: Number of groups of the test images, where the user names groups; None: images count as independent.
        grouping: Word for a group, such as ``patient``; empty: likewise.
        folds: Number of cross-validation folds, whose own validation images choose; 0: there are none.
    """

    classes: list[str]
    test_data: str
    validation_data: str
    images: int
    validation_images: int
    chosen: str
    level: float
    rows: list[VariantRow]
    test_disagreement: Disagreement | None
    groups: int | None = None
    grouping: str = ""
    folds: int = 0

    def as_json(self) -> dict[str, Any]:
        """The table as docs/reference/schemas/comparison.schema.json describes it."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


def read_evaluated_variant(variant: Variant, evaluation: Path) -> EvaluatedVariant:
    """Reads the evaluation of a variant.

    Args:
        variant: Definition of the variant.
        evaluation: Folder that `evaluate_model` made.

    Raises:
        HeadstartError: If the folder is no evaluation, is damaged, or was made without validation images.
    """
    metrics = read_metrics(evaluation)
    folds = metrics.get("cross_validation")
    if not folds and (metrics["validation_data"] is None or not (evaluation / VALIDATION).exists()):
        raise HeadstartError(
            f"the evaluation of variant {variant.name!r} has no validation images, which choose; pass it some"
        )
    return EvaluatedVariant(
        variant,
        metrics,
        read_models(evaluation)["models"][FINAL],
        read_predictions(evaluation / PREDICTIONS),
        None if folds else read_predictions(evaluation / VALIDATION),
    )


def build_table(variants: list[EvaluatedVariant]) -> VariantTable:
    """Chooses a variant on validation images and compares the others with it on test images.

    The variant with the least validation log loss is chosen. The others are compared with it on the test images,
    which are not used for the choice. All differences together hold at 95 % (Bonferroni; O. J. Dunn, JASA 56, 1961),
    so that more variants do not make one that is better by chance more likely.

    Args:
        variants: Evaluated variants, at least two.

    Raises:
        HeadstartError: If the variants were evaluated on different images.
    """
    first = variants[0]
    for each in variants[1:]:
        for data in ("test_data", "validation_data"):
            if each.metrics[data] != first.metrics[data]:
                raise HeadstartError(
                    f"variants {first.variant.name!r} and {each.variant.name!r} were evaluated on different images "
                    f"({data} {first.metrics[data]} and {each.metrics[data]}); give all the same split"
                )
    losses = [each.validation_loss for each in variants]
    chosen = variants[int(np.argmin(losses))]
    level = (1 - CONFIDENCE_LEVEL) / 2 / (len(variants) - 1)
    rows = [
        _row(each, loss, None if each is chosen else _difference(each.test, chosen.test, level))
        for each, loss in zip(variants, losses, strict=True)
    ]
    return VariantTable(
        classes=chosen.metrics["classes"],
        test_data=chosen.metrics["test_data"],
        validation_data=chosen.validation_data,
        images=len(chosen.test.labels),
        validation_images=len(chosen.validation.labels) if chosen.validation else 0,
        chosen=chosen.variant.name,
        level=CONFIDENCE_LEVEL,
        rows=rows,
        test_disagreement=_find_disagreement(rows, chosen.variant.name),
        groups=chosen.metrics[FINAL].get("groups"),
        grouping=chosen.test.grouping,
        folds=found["folds"] if (found := chosen.metrics.get("cross_validation")) else 0,
    )


def _find_disagreement(rows: list[VariantRow], chosen: str) -> Disagreement | None:
    best = min(rows, key=lambda row: row.difference.log_loss if row.difference else 0.0)
    if best.difference is None or best.difference.log_loss >= 0:
        return None
    change, (low, high) = best.difference.log_loss, best.difference.log_loss_interval
    doubt = (
        "The interval contains 0, so this may be chance."
        if high >= 0
        else "The interval excludes 0, so new images may well agree with the test images."
    )
    text = (
        f"Validation and test images disagree about the log loss: on the test images {best.name} has the lowest, "
        f"{abs(change):.4f} below that of {chosen} (interval {low:+.4f} to {high:+.4f}). {doubt} The choice stays "
        "with the validation images: a choice by test images would make the test metrics optimistic."
    )
    return Disagreement(best.name, change, (low, high), text)


def _row(evaluated: EvaluatedVariant, validation_log_loss: float, difference: VariantDifference | None) -> VariantRow:
    figures, model = evaluated.metrics[FINAL], evaluated.model
    return VariantRow(
        name=evaluated.variant.name,
        method=evaluated.variant.method,
        backbone=model["backbone"],
        image_size=model["image_size"],
        accuracy=figures["accuracy"],
        accuracy_interval=tuple(figures["accuracy_interval"]),
        log_loss=figures["log_loss"],
        log_loss_interval=tuple(figures["log_loss_interval"]),
        validation_accuracy=evaluated.validation_accuracy,
        validation_log_loss=validation_log_loss,
        seconds=model["seconds"],
        accelerators=model["accelerators"],
        accelerator_seconds=model["seconds"] * model["accelerators"],
        parameters=model["parameters"],
        difference=difference,
    )


def _difference(this: Predictions, chosen: Predictions, level: float) -> VariantDifference:
    found = compare_predictions(this, chosen, level, min_images=1)
    # Both exist if there are images, which every evaluation has.
    assert found.accuracy_difference is not None and found.accuracy_interval  # noqa: S101 - for the type checker
    assert found.log_loss_difference is not None and found.log_loss_interval  # noqa: S101 - likewise
    return VariantDifference(
        found.verdict,
        found.only_candidate,
        found.only_champion,
        found.accuracy_difference,
        found.accuracy_interval,
        found.log_loss_difference,
        found.log_loss_interval,
    )
