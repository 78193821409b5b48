"""What a classifier says of a whole dataset."""

import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.dataset import read_info
from headstart.components.core.logs import tracked
from headstart.components.core.network.classifier import RESIZE, after_resize, probabilities
from headstart.components.core.network.images import image_batches

_BATCH = 64


def predict(model: keras.Model, dataset: Path, what: str) -> NDArray[np.float64]:
    """Runs a classifier once over every image.

    Args:
        model: A classifier as it was saved.
        dataset: A dataset artifact.
        what: Name of the work in the log.

    Returns:
        (images, classes), in the dataset's order, each row adding up to 1.
    """
    network = after_resize(model)
    run = tf.function(lambda pixels: network(pixels, training=False), reduce_retracing=True)
    batches = image_batches(dataset, model.get_layer(RESIZE).height, _BATCH)
    steps = math.ceil(read_info(dataset).images / _BATCH)
    return np.concatenate([probabilities(run(pixels).numpy()) for pixels in tracked(batches, what, steps)])
