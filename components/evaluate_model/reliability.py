"""Calibration of probabilities, and thresholds below which a model abstains."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.metrics.calibration import (
    TemperatureEstimate,
    apply_temperature,
    estimate_temperature,
    to_logits,
)
from headstart.components.core.metrics.clusters import (
    count_groups_needed,
    korn_graubard_interval,
    korn_graubard_lower_bounds,
    share_interval,
)
from headstart.components.core.metrics.statistics import (
    CONFIDENCE_LEVEL,
    Groups,
    Interval,
    choose_resample_count,
    clopper_pearson_lower_bounds,
    cross_entropies,
    draw_resamples,
    percentile_interval,
    resampling_level,
)
from headstart.components.evaluate_model.classification_metrics import BOOTSTRAP_SEED

MAX_BINS = 10
"""Most bins of the calibration error and the reliability diagram."""

MIN_BIN_IMAGES = 20
"""Images per bin below which there are fewer bins."""

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
        accuracy_interval: Interval of `accuracy` at the 95 % level, see `share_interval`; None without images.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None
    accuracy_interval: Interval | None


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Calibration metrics of probabilities; bootstrap intervals at the 95 % level.

    Attributes:
        ece: Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by images.
        ece_interval: Interval of `ece`.
        ece_if_calibrated: Mean calibration error that a perfectly calibrated model with these probabilities shows on
            as many images, by chance alone; the bias of `ece` where the model is calibrated.
        ece_if_calibrated_interval: Range of 95 % of these errors.
        brier: Brier score as in scikit-learn: 0 to 1 for two classes, 0 to 2 for more.
        brier_interval: Interval of `brier`.
        log_loss: Mean cross-entropy in nats.
        log_loss_interval: Interval of `log_loss`.
        bins: Bins with equal numbers of images, by rising probability; images of one probability share a bin.
    """

    ece: float
    ece_interval: Interval
    ece_if_calibrated: float
    ece_if_calibrated_interval: Interval
    brier: float
    brier_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    bins: list[ReliabilityBin]


@dataclasses.dataclass(frozen=True)
class CalibrationChange:
    """Effect of temperature scaling on test images: scaled minus unscaled, so below 0 is better.

    Attributes:
        ece: Change of the expected calibration error.
        ece_interval: Interval of `ece` from the paired bootstrap at the 95 % level, like those that follow.
        brier: Change of the Brier score.
        brier_interval: Interval of `brier`.
        log_loss: Change of the log loss in nats.
        log_loss_interval: Interval of `log_loss`.
    """

    ece: float
    ece_interval: Interval
    brier: float
    brier_interval: Interval
    log_loss: float
    log_loss_interval: Interval


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Temperature scaling, fitted on validation images and measured on test images.

    Attributes:
        temperature: Divisor of the logits: the shrunk estimate if the validation images support scaling, else 1.
        applied: True if they do, see `core.metrics.calibration.estimate_temperature`.
        fitted_temperature: Maximum-likelihood temperature of the validation images; above 1 the model is
            overconfident on them, below 1 underconfident.
        temperature_interval: Profile-likelihood interval of `fitted_temperature` at the 95 % level; it excludes 1 if
            scaling is applied. None: an earlier version fitted the temperature.
        p_value: p-value of the likelihood-ratio test of a temperature of 1; None: as before.
        validation_images: Number of validation images that it was fitted on.
        before: Calibration metrics of the model's own probabilities.
        after: Calibration metrics of the scaled probabilities; those before if scaling is not applied.
        change: Effect of scaling on the test images; None if it is not applied.
    """

    temperature: float
    applied: bool
    fitted_temperature: float
    temperature_interval: Interval | None
    p_value: float | None
    validation_images: int
    before: Reliability
    after: Reliability
    change: CalibrationChange | None


@dataclasses.dataclass(frozen=True)
class Abstention:
    """Coverage and selective accuracy of predicting only where the scaled probability reaches a threshold.

    Attributes:
        wanted: Wanted precision of the predictions that are given.
        threshold: Least probability of the likeliest class for which the Clopper-Pearson bound (with groups that of
            Korn and Graubard) on the validation images is at least `wanted`; None if there is none, like all metrics
            below.
        validation_images: Number of validation images.
        validation_needed: Fewest validation images, all predicted correctly, for which there is a threshold; with
            `unit`, fewest groups.
        answered: Number of test images that get a prediction.
        share: Coverage: their share of all test images.
        share_interval: Wilson interval at the 95 % level, or with groups that of Korn and Graubard.
        precision: Share of correct predictions among them; None without predictions.
        precision_lower: One-sided bound of `precision` at the 95 % level, as for `threshold`.
        unit: Word for a group of validation images; empty: none are named.
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
    unit: str = ""


def compute_reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], groups: Groups | None = None
) -> Reliability:
    """Computes calibration metrics of probabilities.

    The calibration error is the plug-in estimate of Guo et al. (ICML 2017), with bins of equal numbers of images. It
    is biased upwards: on few images it is never 0, even for a perfect model. So the error that a perfectly calibrated
    model shows by chance stands beside it, from labels drawn from the probabilities themselves.

    Source: J. Bröcker and L. A. Smith, "Increasing the Reliability of Reliability Diagrams", Weather and Forecasting
    22 (2007), for drawing such labels.

    Args:
        labels: Class indices, (n,), n at least 1.
        probabilities: Probabilities, (n, classes).
        groups: Number of the group of each image, (n,); None: images are independent.
    """
    return _reliability(labels, probabilities, _resample(labels, probabilities, groups), groups)


def calibrate(
    validation: LabelledProbabilities,
    test: LabelledProbabilities,
    groups: Groups | None = None,
    validation_groups: Groups | None = None,
) -> Calibration:
    """Fits a temperature on validation images, decides whether it is used, and measures calibration on test images.

    Args:
        validation: Labels and probabilities of the validation images.
        test: Labels and probabilities of the test images.
        groups: Number of the group of each test image, (n,); None: images are independent.
        validation_groups: Number of the group of each validation image; None: likewise.
    """
    estimate = estimate_temperature(validation[0], to_logits(validation[1]), validation_groups)
    return measure_calibration(estimate, len(validation[0]), test, groups)


def measure_calibration(
    estimate: TemperatureEstimate,
    validation_images: int,
    test: LabelledProbabilities,
    groups: Groups | None = None,
    scaled: NDArray[np.float64] | None = None,
) -> Calibration:
    """Measures on test images a temperature that validation images gave.

    Args:
        estimate: Temperature, and whether it is used.
        validation_images: Number of validation images that it was fitted on.
        test: Labels and probabilities of the test images.
        groups: Number of the group of each test image, (n,); None: images are independent.
        scaled: Scaled probabilities of the test images, (n, classes), of which the metrics after scaling are; None:
            they are scaled by the temperature.
    """
    labels, probabilities = test
    values = _resample(labels, probabilities, groups)
    before = after = _reliability(labels, probabilities, values, groups)
    change = None
    if estimate.supported:
        scaled = apply_temperature(probabilities, estimate.temperature) if scaled is None else scaled
        scaled_values = _resample(labels, scaled, groups)
        after = _reliability(labels, scaled, scaled_values, groups)
        change = _change(scaled_values - values, groups)
    return Calibration(
        temperature=estimate.temperature,
        applied=estimate.supported,
        fitted_temperature=estimate.fitted,
        temperature_interval=estimate.interval,
        p_value=estimate.p_value,
        validation_images=validation_images,
        before=before,
        after=after,
        change=change,
    )


def _assign_bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin of each image, (n,): equal numbers by rising confidence, equal confidences together, no empty bin."""
    images = len(confidence)
    bins = max(1, min(MAX_BINS, images // MIN_BIN_IMAGES))
    highest = np.unique(np.sort(confidence)[np.arange(1, bins + 1) * images // bins - 1])
    return np.searchsorted(highest, confidence)


def _resample(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], groups: Groups | None
) -> NDArray[np.float64]:
    """Calibration error, Brier score and log loss of all images and of each resample, (1 + resamples, 3)."""
    images, classes = probabilities.shape
    right, confidence = _right_and_confidence(labels, probabilities)
    bins = _assign_bins(confidence)
    loss = cross_entropies(labels, probabilities)
    off = probabilities.copy()
    off[np.arange(images), labels] -= 1
    brier = np.square(off).sum(axis=1) / (2 if classes == 2 else 1)
    gap = right - confidence

    def figures(weights: NDArray[np.int64]) -> tuple[float, float, float]:
        drawn = weights.sum()
        ece = np.abs(np.bincount(bins, weights * gap)).sum() / drawn
        return float(ece), float(weights @ brier / drawn), float(weights @ loss / drawn)

    resamples = draw_resamples(images, BOOTSTRAP_SEED, choose_resample_count(probabilities.size), groups)
    return np.array([figures(np.ones(images, np.int64)), *map(figures, resamples)])


def _reliability(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    values: NDArray[np.float64],
    groups: Groups | None,
) -> Reliability:
    images, inside = len(labels), resampling_level(CONFIDENCE_LEVEL, groups)
    right, confidence = _right_and_confidence(labels, probabilities)
    bins = _assign_bins(confidence)
    random = np.random.default_rng(BOOTSTRAP_SEED)
    by_chance = np.array(
        [
            np.abs(np.bincount(bins, (random.random(images) < confidence) - confidence)).sum() / images
            for _ in range(len(values) - 1)
        ]
    )
    ece, brier, log_loss = values.T
    return Reliability(
        ece=float(ece[0]),
        ece_interval=percentile_interval(ece, inside),
        ece_if_calibrated=float(by_chance.mean()),
        ece_if_calibrated_interval=percentile_interval(np.r_[by_chance.mean(), by_chance]),
        brier=float(brier[0]),
        brier_interval=percentile_interval(brier, inside),
        log_loss=float(log_loss[0]),
        log_loss_interval=percentile_interval(log_loss, inside),
        bins=_bins(bins, confidence, right, groups),
    )


def _bins(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.int64], groups: Groups | None
) -> list[ReliabilityBin]:
    found, low = [], float(confidence.min())
    for number in range(int(bins.max()) + 1):
        inside = bins == number
        images, correct = int(inside.sum()), int(right[inside].sum())
        high = float(confidence[inside].max())
        interval = share_interval(right[inside] > 0, None if groups is None else groups[inside])
        found.append(ReliabilityBin(low, high, images, float(confidence[inside].mean()), correct / images, interval))
        low = high
    return found


def _change(differences: NDArray[np.float64], groups: Groups | None) -> CalibrationChange:
    ece, brier, log_loss = differences.T
    inside = resampling_level(CONFIDENCE_LEVEL, groups)
    return CalibrationChange(
        ece=float(ece[0]),
        ece_interval=percentile_interval(ece, inside),
        brier=float(brier[0]),
        brier_interval=percentile_interval(brier, inside),
        log_loss=float(log_loss[0]),
        log_loss_interval=percentile_interval(log_loss, inside),
    )


def compute_abstentions(
    validation: LabelledProbabilities,
    test: LabelledProbabilities,
    groups: Groups | None = None,
    validation_groups: Groups | None = None,
    unit: str = "",
) -> list[Abstention]:
    """Chooses abstention thresholds on validation images and measures them on test images.

    Args:
        validation: Labels and scaled probabilities of the validation images.
        test: Labels and scaled probabilities of the test images.
        groups: Number of the group of each test image, (n,); None: images are independent.
        validation_groups: Number of the group of each validation image; None: likewise.
        unit: Word for a group of validation images; empty without groups.
    """
    chosen = [choose_abstention(wanted, validation, validation_groups) for wanted in WANTED_PRECISIONS]
    return [measure_abstention(dataclasses.replace(each, unit=unit), test, groups) for each in chosen]


def choose_abstention(wanted: float, validation: LabelledProbabilities, groups: Groups | None = None) -> Abstention:
    """Chooses the least threshold that holds a precision on validation images.

    Args:
        wanted: Wanted precision of the predictions that are given.
        validation: Labels and scaled probabilities of the validation images.
        groups: Number of the group of each of them; None: images are independent.
    """
    right, confidence = _right_and_confidence(*validation)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold includes all images with exactly its probability.
    last = np.flatnonzero(np.append(falling[:-1] != falling[1:], True))
    needed = int(np.ceil(np.log(1 - CONFIDENCE_LEVEL) / np.log(wanted)))
    if groups is None:
        bounds = clopper_pearson_lower_bounds(np.cumsum(right[order])[last], last + 1)
    else:
        bounds = korn_graubard_lower_bounds(right[order] > 0, groups[order])[last]
        needed = count_groups_needed(needed)
    enough = np.flatnonzero(bounds >= wanted)
    threshold = float(falling[last[enough[-1]]]) if len(enough) else None
    return Abstention(wanted, threshold, len(right), needed)


def measure_abstention(chosen: Abstention, test: LabelledProbabilities, groups: Groups | None = None) -> Abstention:
    """Measures on test images an abstention threshold that was chosen before.

    Args:
        chosen: Wanted precision, threshold, and numbers of validation images.
        test: Labels and scaled probabilities of the test images.
        groups: Number of the group of each test image, (n,); None: images are independent.
    """
    if chosen.threshold is None:
        return chosen
    test_right, test_confidence = _right_and_confidence(*test)
    return count_answered(chosen, test_confidence >= chosen.threshold, test_right, groups)


def count_answered(
    chosen: Abstention, answered: NDArray[np.bool_], right: NDArray[Any], groups: Groups | None = None
) -> Abstention:
    """Counts the test images that get a prediction, and those that get a correct one.

    Args:
        chosen: Wanted precision, threshold, and numbers of validation images.
        answered: Whether each test image gets a prediction, (n,).
        right: Whether its likeliest class is the right one, (n,).
        groups: Number of its group, (n,); None: images are independent.
    """
    images, correct = int(answered.sum()), int(right[answered].sum())
    if groups is None:
        lower = float(clopper_pearson_lower_bounds(np.array([correct]), np.array([images]))[0])
    else:
        lower = korn_graubard_interval(right[answered] > 0, groups[answered], 2 * CONFIDENCE_LEVEL - 1)[0]
    return dataclasses.replace(
        chosen,
        answered=images,
        share=images / len(answered),
        share_interval=share_interval(answered, groups),
        precision=correct / images if images else None,
        precision_lower=lower,
    )


def _right_and_confidence(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return (probabilities.argmax(axis=1) == labels).astype(np.int64), probabilities.max(axis=1)
