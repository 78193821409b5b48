"""Predictions of a classifier from cached features."""

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.features.compute import Features
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.training.batches import PlainBatches, to_tf_dataset


def predict_proba(tail: keras.Model, features: Features) -> NDArray[np.float64]:
    """Class probabilities of images from the cached features of their plain views, (n, classes).

    Args:
        tail: A compiled model from the features to the classifier's output.
        features: Cached features of the images, of which there may be none.
    """
    units = tail.output.shape[-1]
    if not features.images:
        return np.empty((0, max(2, units)))
    outputs = tail.predict(to_tf_dataset(PlainBatches(features, units)), verbose=0)
    # With several replicas, some images may come twice.
    return to_probabilities(outputs[: features.images])
