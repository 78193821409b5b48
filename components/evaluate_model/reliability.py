"""Calibration of probabilities, and thresholds below which a model abstains."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.metrics.calibration import apply_temperature, fit_temperature, to_logits
from headstart.components.core.metrics.statistics import (
    CONFIDENCE_LEVEL,
    Interval,
    choose_resample_count,
    clopper_pearson_lower_bounds,
    cross_entropies,
    draw_resamples,
    percentile_interval,
    wilson_interval,
)
from headstart.components.evaluate_model.classification_metrics import BOOTSTRAP_SEED

BINS = 15
LabelledProbabilities = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Class indices (n,) and probabilities (n, classes)."""

WANTED_PRECISIONS = (0.95, 0.99)
"""Precisions that the abstention table has a threshold for."""


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Test images by the probability of their likeliest class; one bin of the reliability diagram.

    Attributes:
        low: Lower bound of the probability; only the first bin includes it.
        high: Upper bound of the probability, included.
        images: Number of images.
        confidence: Mean probability of the likeliest class; None without images.
        accuracy: Share of correct predictions; None without images.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Calibration metrics of probabilities; bootstrap intervals at the 95 % level.

    Attributes:
        ece: Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by images.
        ece_interval: Interval of `ece`.
        brier: Brier score as in scikit-learn: 0 to 1 for two classes, 0 to 2 for more.
        brier_interval: Interval of `brier`.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Interval of `log_loss`.
        bins: Bins of equal width from 0 to 1.
    """

    ece: float
    ece_interval: Interval
    brier: float
    brier_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    bins: list[ReliabilityBin]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Temperature scaling, fitted on validation images and measured on test images.

    Attributes:
        temperature: Divisor of the logits; above 1 the model was overconfident, below 1 underconfident.
        validation_images: Number of validation images that it was fitted on.
        before: Calibration metrics of the model's own probabilities.
        after: Calibration metrics of the scaled probabilities.
    """

    temperature: float
    validation_images: int
    before: Reliability
    after: Reliability


@dataclasses.dataclass(frozen=True)
class Abstention:
    """Coverage and selective accuracy of predicting only where the scaled probability reaches a threshold.

    Attributes:
        wanted: Wanted precision of the predictions that are given.
        threshold: Least probability of the likeliest class for which the Clopper-Pearson bound on the validation
            images is at least `wanted`; None if there is none, like all metrics below.
        validation_images: Number of validation images.
        validation_needed: Fewest validation images, all predicted correctly, for which there is a threshold.
        answered: Number of test images that get a prediction.
        share: Coverage: their share of all test images.
        share_interval: Wilson interval at the 95 % level.
        precision: Share of correct predictions among them; None without predictions.
        precision_lower: One-sided Clopper-Pearson bound of `precision` at the 95 % level.
    """

    wanted: float
    threshold: float | None
    validation_images: int
    validation_needed: int
    answered: int | None = None
    share: float | None = None
    share_interval: Interval | None = None
    precision: float | None = None
    precision_lower: float | None = None


def compute_reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Reliability:
    """Computes calibration metrics of probabilities.

    The calibration error is that of Guo et al., with 15 bins of equal width. On few images it is never 0, even for a
    perfect model: see its interval and the bins.

    Args:
        labels: Class indices, (n,), n at least 1.
        probabilities: Probabilities, (n, classes).
    """
    images, classes = probabilities.shape
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    loss = cross_entropies(labels, probabilities)
    off = probabilities.copy()
    off[np.arange(images), labels] -= 1
    brier = np.square(off).sum(axis=1) / (2 if classes == 2 else 1)
    gap = right - confidence

    def figures(weights: NDArray[np.int64]) -> tuple[float, float, float]:
        ece = np.abs(np.bincount(bins, weights * gap, BINS)).sum() / images
        return float(ece), float(weights @ brier / images), float(weights @ loss / images)

    resamples = draw_resamples(images, BOOTSTRAP_SEED, choose_resample_count(probabilities.size))
    values = np.array([figures(np.ones(images, np.int64)), *map(figures, resamples)])
    counts = np.bincount(bins, minlength=BINS)
    sums = np.bincount(bins, confidence, BINS), np.bincount(bins, right, BINS)
    ece, brier_score, log_loss = values.T
    return Reliability(
        ece=float(ece[0]),
        ece_interval=percentile_interval(ece),
        brier=float(brier_score[0]),
        brier_interval=percentile_interval(brier_score),
        log_loss=float(log_loss[0]),
        log_loss_interval=percentile_interval(log_loss),
        bins=[
            ReliabilityBin(
                number / BINS, (number + 1) / BINS, int(count), *(float(each[number]) / int(count) for each in sums)
            )
            if count
            else ReliabilityBin(number / BINS, (number + 1) / BINS, 0, None, None)
            for number, count in enumerate(counts)
        ],
    )


def calibrate(validation: LabelledProbabilities, test: LabelledProbabilities) -> Calibration:
    """Fits a temperature on validation images and measures calibration on test images.

    Args:
        validation: Labels and probabilities of the validation images.
        test: Labels and probabilities of the test images.
    """
    labels, probabilities = test
    temperature = fit_temperature(validation[0], to_logits(validation[1]))
    return Calibration(
        temperature=temperature,
        validation_images=len(validation[0]),
        before=compute_reliability(labels, probabilities),
        after=compute_reliability(labels, apply_temperature(probabilities, temperature)),
    )


def compute_abstentions(validation: LabelledProbabilities, test: LabelledProbabilities) -> list[Abstention]:
    """Chooses abstention thresholds on validation images and measures them on test images.

    Args:
        validation: Labels and scaled probabilities of the validation images.
        test: Labels and scaled probabilities of the test images.
    """
    return [_abstention(wanted, validation, test) for wanted in WANTED_PRECISIONS]


def _abstention(wanted: float, validation: LabelledProbabilities, test: LabelledProbabilities) -> Abstention:
    right, confidence = _right_and_confidence(*validation)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold includes all images with exactly its probability.
    last = np.flatnonzero(np.append(falling[:-1] != falling[1:], True))
    bounds = clopper_pearson_lower_bounds(np.cumsum(right[order])[last], last + 1)
    enough = np.flatnonzero(bounds >= wanted)
    needed = int(np.ceil(np.log(1 - CONFIDENCE_LEVEL) / np.log(wanted)))
    if not len(enough):
        return Abstention(wanted, None, len(right), needed)
    threshold = float(falling[last[enough[-1]]])
    test_right, test_confidence = _right_and_confidence(*test)
    answered = test_confidence >= threshold
    images, correct = int(answered.sum()), int(test_right[answered].sum())
    return Abstention(
        wanted,
        threshold,
        len(right),
        needed,
        answered=images,
        share=images / len(answered),
        share_interval=wilson_interval(images, len(answered)),
        precision=correct / images if images else None,
        precision_lower=float(clopper_pearson_lower_bounds(np.array([correct]), np.array([images]))[0]),
    )


def _right_and_confidence(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return (probabilities.argmax(axis=1) == labels).astype(np.int64), probabilities.max(axis=1)
