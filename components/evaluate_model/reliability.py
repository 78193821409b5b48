"""Whether a probability of 90 % is right nine times out of ten, and when it is better to say nothing."""

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
from headstart.components.evaluate_model.classification_metrics import SEED

BINS = 15
Answers = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Labels (n,), and probabilities (n, classes)."""

WANTED = (0.95, 0.99)
"""Precisions for which the abstention table gives a threshold."""


@dataclasses.dataclass(frozen=True)
class Bin:
    """Test images whose likeliest class got a probability between two bounds.

    Attributes:
        low: The lower bound; the first bin holds it, others do not.
        high: The upper bound.
        images: How many.
        confidence: Mean probability of the likeliest class; None without images.
        accuracy: Share right; None without images.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How far probabilities can be taken at their word; intervals from the bootstrap, at the 95 % level.

    Attributes:
        ece: Expected calibration error: mean distance of confidence and accuracy over the bins, by their images.
        ece_interval: Its interval.
        brier: Brier score, as scikit-learn scales it: 0 to 1 for two classes, 0 to 2 for more.
        brier_interval: Its interval.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Its interval.
        bins: Of equal width from 0 to 1.
    """

    ece: float
    ece_interval: Interval
    brier: float
    brier_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    bins: list[Bin]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Temperature scaling, fitted on validation images and measured on test images.

    Attributes:
        temperature: What logits are divided by: above 1 the model was too sure of itself, below 1 too timid.
        validation_images: Images it was fitted on.
        before: Of the model's own probabilities.
        after: Of the scaled ones.
    """

    temperature: float
    validation_images: int
    before: Reliability
    after: Reliability


@dataclasses.dataclass(frozen=True)
class Abstention:
    """Answering only where the scaled probability of the likeliest class reaches a threshold.

    Attributes:
        wanted: Precision that is wanted of the answers.
        threshold: The least that on the validation images has a Clopper-Pearson bound of at least `wanted`; None
            where they have none, and all after it then too.
        validation_images: Validation images there are.
        validation_needed: Validation images it takes at least, all of them right.
        answered: Test images that get an answer.
        share: Their share of all.
        share_interval: Wilson, at the 95 % level.
        precision: Share right of the answers; None without answers.
        precision_lower: Its one-sided Clopper-Pearson bound at the 95 % level, on the test images.
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


def reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Reliability:
    """Measures probabilities against what is true.

    The calibration error is Guo et al.'s, with 15 bins of equal width; it is never 0 on few images, even of a
    perfect model: look at its interval, and at the bins.

    Args:
        labels: (n,), n at least 1.
        probabilities: (n, classes).
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

    resamples = draw_resamples(images, SEED, choose_resample_count(probabilities.size))
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
            Bin(number / BINS, (number + 1) / BINS, int(count), *(float(each[number]) / int(count) for each in sums))
            if count
            else Bin(number / BINS, (number + 1) / BINS, 0, None, None)
            for number, count in enumerate(counts)
        ],
    )


def calibrate(validation: Answers, test: Answers) -> Calibration:
    """Fits a temperature on validation images and measures on test images what it does.

    Args:
        validation: Labels (n,) and probabilities (n, classes).
        test: Likewise.
    """
    labels, probabilities = test
    temperature = fit_temperature(validation[0], to_logits(validation[1]))
    return Calibration(
        temperature=temperature,
        validation_images=len(validation[0]),
        before=reliability(labels, probabilities),
        after=reliability(labels, apply_temperature(probabilities, temperature)),
    )


def abstentions(validation: Answers, test: Answers) -> list[Abstention]:
    """The abstention table: thresholds from validation images, and what they hold on test images.

    Args:
        validation: Labels (n,) and scaled probabilities (n, classes).
        test: Likewise.
    """
    return [_abstention(wanted, validation, test) for wanted in WANTED]


def _abstention(
    wanted: float,
    validation: Answers,
    test: Answers,
) -> Abstention:
    right, confidence = _answers(*validation)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold lets in all images of its probability.
    last = np.flatnonzero(np.append(falling[:-1] != falling[1:], True))
    bounds = clopper_pearson_lower_bounds(np.cumsum(right[order])[last], last + 1)
    enough = np.flatnonzero(bounds >= wanted)
    needed = int(np.ceil(np.log(1 - CONFIDENCE_LEVEL) / np.log(wanted)))
    if not len(enough):
        return Abstention(wanted, None, len(right), needed)
    threshold = float(falling[last[enough[-1]]])
    test_right, test_confidence = _answers(*test)
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


def _answers(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return (probabilities.argmax(axis=1) == labels).astype(np.int64), probabilities.max(axis=1)
