"""Weights of the loss under which classes count alike, however many images each has."""

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.recipes.recipe import TrainingSettings

ClassWeights = dict[int, float] | None
"""By label; None: every image weighs 1."""


def class_weights(training: TrainingSettings, labels: NDArray[np.int64]) -> ClassWeights:
    """Weights under which each class that has images counts alike, 1 on average over the images; None for none.

    Args:
        training: Whether they are wanted.
        labels: Of the training images, (n,).
    """
    if training.class_weights == "none":
        return None
    classes, counts = np.unique(labels, return_counts=True)
    return {
        int(label): len(labels) / (len(classes) * int(count)) for label, count in zip(classes, counts, strict=True)
    }


def image_weights(weights: ClassWeights, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of each image, (n,), by its label, (n,)."""
    return np.array([weights[label] if weights else 1.0 for label in labels.tolist()])
