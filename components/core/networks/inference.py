"""Loading a classifier for predictions, batch by batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import remove_resizing, to_probabilities
from headstart.components.core.networks.saving import load_model

PredictProba = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Resized pixels (n, size, size, 3), RGB 0-255, to probabilities (n, classes); called by one thread at a time."""


def load_classifier(folder: Path, *, traced: bool) -> PredictProba:
    """Loads the network of a model artifact for predictions.

    Args:
        folder: Model artifact.
        traced: True to compile the network to a graph, which takes seconds and pays from some dozen images on.

    Raises:
        HeadstartError: If Keras cannot read the network.
    """
    network = remove_resizing(load_model(folder))
    if traced:
        # Takes half a second, which pays whenever tracing does.
        network = fold_batchnorm(network)

    def run(pixels: tf.Tensor) -> tf.Tensor:
        return network(pixels, training=False)

    if traced:
        run = tf.function(run, input_signature=[tf.TensorSpec((None, *network.input_shape[1:]))])
    return lambda pixels: to_probabilities(run(pixels).numpy())
