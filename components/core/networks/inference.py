"""Loading a classifier for predictions, batch by batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import add_features_output, remove_resizing, to_probabilities
from headstart.components.core.networks.saving import load_model

Predict = Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], NDArray[np.float32]]]
"""Resized pixels (n, size, size, 3), RGB 0-255, to probabilities (n, classes) and features (n, features), the
activations that the output layer gets; called by one thread at a time."""


def load_classifier(folder: Path, *, traced: bool) -> Predict:
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
    network = add_features_output(network)

    def call(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        output, features = network(pixels, training=False)
        return output, features

    run = call
    if traced:
        signature = [tf.TensorSpec((None, *network.input_shape[1:]))]
        graph = tf.function(call, input_signature=signature, autograph=False)
        # Now, and not with the first images, which may come while another network is predicting.
        graph.get_concrete_function()
        run = graph

    def predict(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        output, features = run(pixels)
        return to_probabilities(output.numpy()), features.numpy()

    return predict
