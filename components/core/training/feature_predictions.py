"""What a classifier says of the images of a record."""

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.features.compute import Features
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.training.batches import PlainBatches, stream


def answers(tail: keras.Model, record: Features) -> NDArray[np.float64]:
    """One probability per class for each image of a record, (n, classes), in its order.

    Args:
        tail: A compiled model from the recorded activations to the classifier's output.
        record: Of which the plain views are looked at.
    """
    said = tail.predict(stream(PlainBatches(record, tail.output.shape[-1])), verbose=0)
    # Replicas that share out batches may have been given some images twice.
    return to_probabilities(said[: record.images])
