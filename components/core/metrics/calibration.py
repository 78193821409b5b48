"""Temperature scaling: one number that makes probabilities as sure as they should be."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from headstart.components.core.artifacts.evaluation import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of each row, (n, classes)."""
    return np.asarray(scipy_softmax(logits.astype(np.float64), axis=1))


def logits_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits of probabilities, which float32 may have rounded to 0, (n, classes)."""
    return np.log(np.clip(probabilities, np.finfo(np.float32).eps, 1.0))


def scaled(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities whose logits are divided by a temperature, (n, classes)."""
    return softmax(logits_of(probabilities) / temperature)


def fit_temperature(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    """The temperature that divides logits with the least cross-entropy.

    The truth is taken for (n + 1) / (n + 2) sure, as Platt does: where all is right, the temperature would otherwise
    fall without end.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; J. C. Platt, "Probabilistic Outputs
    for Support Vector Machines", 1999.

    Args:
        labels: (n,), n at least 1.
        logits: (n, classes), two classes or more.
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
