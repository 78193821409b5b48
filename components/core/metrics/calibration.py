"""Temperature scaling: one number that calibrates probabilities, where enough images support it."""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtrc, chdtri, log_softmax
from scipy.special import softmax as scipy_softmax

from headstart.components.core.artifacts.evaluation import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL, Groups, Interval

PRIOR_SPREAD = 0.2
"""Standard deviation of the logarithm of the temperature before any image is seen: 95 % lie between 0.68 and 1.48.

Chosen with the test's level by `benchmarks/temperature_scaling.py`, on other seeds than those that it reports.
"""

_BOUNDS = (float(np.log(LOWEST_TEMPERATURE)), float(np.log(HIGHEST_TEMPERATURE)))
_PRECISION = 1e-4


@dataclasses.dataclass(frozen=True)
class TemperatureEstimate:
    """Temperature of validation images, and whether they support scaling.

    Attributes:
        temperature: Divisor of the logits to be used: the shrunk estimate if scaling is supported, else 1.
        supported: True if the likelihood-ratio test rejects a temperature of 1, so that `interval` excludes 1.
        fitted: Maximum-likelihood temperature.
        interval: Profile-likelihood interval of the temperature at the 95 % level; it contains 1 exactly if scaling
            is not supported. None: not known, since an earlier version fitted the temperature.
        p_value: p-value of the likelihood-ratio test of a temperature of 1; None: as for `interval`.
    """

    temperature: float
    supported: bool
    fitted: float
    interval: Interval | None
    p_value: float | None


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits, (n, classes)."""
    return np.asarray(scipy_softmax(logits.astype(np.float64), axis=1))


def to_logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits of probabilities, (n, classes); finite where float32 has rounded a probability to 0."""
    return np.log(np.clip(probabilities, np.finfo(np.float32).eps, 1.0))


def apply_temperature(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities after their logits are divided by a temperature, (n, classes)."""
    return softmax(to_logits(probabilities) / temperature)


def fit_temperature(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    """Fits the temperature that minimises the cross-entropy of the divided logits.

    Labels are smoothed to (n + 1) / (n + 2), as Platt does: if every prediction is right, the temperature would
    otherwise fall without end.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; J. C. Platt, "Probabilistic Outputs
    for Support Vector Machines", 1999.

    Args:
        labels: Class indices, (n,), n at least 1.
        logits: Logits, (n, classes), two classes or more.
    """
    images, classes = logits.shape
    doubt = 1 / (images + 2)
    wide = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        logs = log_softmax(wide / np.exp(log_temperature), axis=1)
        right = logs[np.arange(images), labels]
        return float(-((1 - doubt) * right + doubt * (logs.sum(axis=1) - right) / (classes - 1)).mean())

    return float(np.exp(_minimise(loss)))


def estimate_temperature(
    labels: NDArray[np.int64], logits: NDArray[np.floating], groups: Groups | None = None
) -> TemperatureEstimate:
    """Estimates the temperature of a classifier whose logits are meant to be calibrated already.

    A temperature other than 1 is used only if the likelihood-ratio test rejects 1 at the 5 % level (S. S. Wilks,
    "The Large-Sample Distribution of the Likelihood Ratio for Testing Composite Hypotheses", Annals of Mathematical
    Statistics 9, 1938). It is then shrunk towards 1: the maximum of the likelihood times a log-normal prior around 1,
    so that few images move it little and many images decide alone.

    With groups the likelihood ratio is divided by the design effect of the scores, as images of a group do not
    testify alone (A. Rotnitzky and N. P. Jewell, Biometrika 77, 1990).

    Args:
        labels: Class indices, (n,), n at least 1.
        logits: Logits, (n, classes), two classes or more.
        groups: Number of the group of each image, (n,); None: images are independent.
    """
    loss = _log_likelihood_loss(labels, logits)
    # The loss of 1 may be the smallest to within the precision of the search.
    fitted = min(_minimise(loss), 0.0, key=loss)
    effect = 1.0 if groups is None else _design_effect(labels, logits, fitted, groups)
    ratio = 2 * (loss(0.0) - loss(fitted)) / effect
    threshold = float(chdtri(1, 1 - CONFIDENCE_LEVEL))
    limit = loss(fitted) + effect * threshold / 2
    low, high = (
        end if loss(end) <= limit else float(brentq(lambda at: loss(at) - limit, *sorted((end, fitted))))
        for end in _BOUNDS
    )
    supported = ratio > threshold
    return TemperatureEstimate(
        temperature=shrink_temperature(labels, logits, effect) if supported else 1.0,
        supported=supported,
        fitted=float(np.exp(fitted)),
        interval=(float(np.exp(low)), float(np.exp(high))),
        p_value=float(chdtrc(1, max(0.0, ratio))),
    )


def shrink_temperature(labels: NDArray[np.int64], logits: NDArray[np.floating], design_effect: float = 1.0) -> float:
    """Temperature that maximises the likelihood times a log-normal prior around 1 with spread `PRIOR_SPREAD`.

    Args:
        labels: Class indices, (n,), n at least 1.
        logits: Logits, (n, classes), two classes or more.
        design_effect: Divisor of the log-likelihood, above 1 where images come in groups.
    """
    loss = _log_likelihood_loss(labels, logits)
    return float(np.exp(_minimise(lambda at: loss(at) / design_effect + at**2 / (2 * PRIOR_SPREAD**2))))


def _design_effect(
    labels: NDArray[np.int64], logits: NDArray[np.floating], log_temperature: float, groups: Groups
) -> float:
    """Variance of the score's sum over independent groups, divided by that over independent images; at least 1."""
    divided = logits.astype(np.float64) / np.exp(log_temperature)
    scores = divided[np.arange(len(labels)), labels] - (softmax(divided) * divided).sum(axis=1)
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], scores)
    if len(sums) == 1:
        return np.inf
    alone = float(np.square(scores).sum())
    together = len(sums) / (len(sums) - 1) * float(np.square(sums).sum())
    return max(1.0, together / alone) if alone else 1.0


def _log_likelihood_loss(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> Callable[[float], float]:
    """Negative log-likelihood of the labels as a function of the logarithm of the temperature."""
    wide, rows = logits.astype(np.float64), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(wide / np.exp(log_temperature), axis=1)[rows, labels].sum())

    return loss


def _minimise(loss: Callable[[float], float]) -> float:
    return float(minimize_scalar(loss, bounds=_BOUNDS, method="bounded", options={"xatol": _PRECISION}).x)
