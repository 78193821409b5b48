"""Between two sets of weights: how much of the second one validation data want."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.features.compute import Features
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.training.best_epoch import values_of
from headstart.components.core.training.checkpoint import Arrays
from headstart.components.core.training.class_weights import ClassWeights, image_weights
from headstart.components.core.training.feature_predictions import answers


@dataclasses.dataclass(frozen=True)
class Mixture:
    """What was chosen.

    Attributes:
        share: Of the second set of weights, 0 to 1.
        loss: Mean cross-entropy on the validation images, weighted as in training.
        accuracy: Share of validation images that are right.
        answers: What it says of the validation images, (n, classes).
    """

    share: float
    loss: float
    accuracy: float
    answers: NDArray[np.float64]


def best_mixture(
    model: keras.Model, start: Arrays, shares: Sequence[float], validation: Features, weights: ClassWeights = None
) -> Mixture:
    """Sets a model's trainable weights to the mixture of `start` and its own with the least validation loss.

    Args:
        model: A compiled model from activations to the classifier's output, at the end of its training.
        start: Values of its trainable variables before it; `start` itself, a share of 0, is always tried, and
            kept where nothing is strictly better.
        shares: Other shares of the trained weights to try.
        validation: Images to choose by.
        weights: Of the classes in the loss.
    """
    end = values_of(model.trainable_variables)
    labels, tried = validation.labels, []
    of_images = image_weights(weights, labels)
    for share in (0.0, *shares):
        _mix(model, start, end, share)
        said = answers(model, validation)
        loss = float((of_images * cross_entropies(labels, said)).mean())
        tried.append(Mixture(share, loss, float((said.argmax(axis=1) == labels).mean()), said))
    chosen = min(tried, key=lambda mixture: mixture.loss)
    _mix(model, start, end, chosen.share)
    return chosen


def _mix(model: keras.Model, start: Arrays, end: Arrays, share: float) -> None:
    for weight, first, last in zip(model.trainable_variables, start, end, strict=True):
        weight.assign((1 - share) * first + share * last)
