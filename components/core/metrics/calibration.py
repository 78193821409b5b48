"""Temperature scaling: one number that calibrates probabilities."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from headstart.components.core.artifacts.evaluation import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE


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

    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x))
