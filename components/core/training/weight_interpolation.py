"""Weight interpolation (WiSE-FT): a mixture of two sets of weights, chosen by validation loss."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.features.compute import Features
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.training.class_weights import ClassWeights, get_image_weights
from headstart.components.core.training.feature_predictions import predict_proba
from headstart.components.core.training.variables import Arrays, get_values, set_values
from headstart.components.core.util.logs import log_phase


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """The interpolation that was chosen.

    Attributes:
        factor: Share of the trained weights, 0 to 1.
        loss: Mean cross-entropy on the validation images, weighted as in training.
        accuracy: Share of the validation images that are classified correctly.
        predictions: Class probabilities of the validation images, (n, classes).
    """

    factor: float
    loss: float
    accuracy: float
    predictions: NDArray[np.float64]


def interpolate_weights(
    model: keras.Model,
    initial: Arrays,
    factors: Sequence[float],
    validation: Features,
    class_weights: ClassWeights = None,
) -> Interpolation:
    """Sets a model's weights to the interpolation of initial and trained weights with the lowest validation loss.

    Args:
        model: A compiled, trained model from cached features to the classifier's output.
        initial: Values of its trainable variables before training. A factor of 0 is always tried, and kept unless
            another one is strictly better.
        factors: Other factors to try, as shares of the trained weights.
        validation: Cached features of the validation set.
        class_weights: Class weights of the loss.
    """
    log_phase("interpolating weights")
    trained = get_values(model.trainable_variables)
    labels, candidates = validation.labels, []
    image_weights = get_image_weights(class_weights, labels)
    for factor in (0.0, *factors):
        set_interpolated(model, initial, trained, factor)
        predictions = predict_proba(model, validation)
        loss = float((image_weights * cross_entropies(labels, predictions)).mean())
        accuracy = float((predictions.argmax(axis=1) == labels).mean())
        candidates.append(Interpolation(factor, loss, accuracy, predictions))
    chosen = min(candidates, key=lambda candidate: candidate.loss)
    set_interpolated(model, initial, trained, chosen.factor)
    return chosen


def set_interpolated(model: keras.Model, initial: Arrays, trained: Arrays, factor: float) -> None:
    """Sets a model's trainable variables to a mixture.

    Args:
        model: The model.
        initial: Values before training.
        trained: Values after training.
        factor: Share of the trained values, 0 to 1.
    """
    pairs = zip(initial, trained, strict=True)
    set_values(model.trainable_variables, [(1 - factor) * first + factor * last for first, last in pairs])
