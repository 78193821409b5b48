"""Class weights of the loss."""

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.recipes.recipe import TrainingSettings

ClassWeights = dict[int, float] | None
"""Weight of each label; None: every image has weight 1."""


def compute_class_weights(training: TrainingSettings, labels: NDArray[np.int64]) -> ClassWeights:
    """Weights with which all classes that have images count alike in the loss; 1 on average over the images.

    Args:
        training: Settings of the phase, which say whether classes are balanced.
        labels: Labels of the training images, (n,).

    Returns:
        Weight of each label; None if classes are not balanced.
    """
    if training.class_weights == "none":
        return None
    classes, counts = np.unique(labels, return_counts=True)
    return {
        int(label): len(labels) / (len(classes) * int(count)) for label, count in zip(classes, counts, strict=True)
    }


def get_image_weights(weights: ClassWeights, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of each image, (n,), from its label, (n,)."""
    return np.array([weights[label] if weights else 1.0 for label in labels.tolist()])
