"""Grad-CAM: the places of an image that a prediction is based on."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.networks.classifier import RESIZE

_BATCH = 16


def grad_cam(
    model: keras.Model, backbone: str, pixels: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Computes Grad-CAM heatmaps: how much each place of the backbone's last feature map speaks for a class.

    Source: R. R. Selvaraju et al., "Grad-CAM", ICCV 2017.

    Args:
        model: Classifier as it was saved.
        backbone: Name of the backbone's layer.
        pixels: Resized images, (n, size, size, 3), 0-255.
        labels: (n,), index of the class to explain in each image.

    Returns:
        (n, height, width) of the feature map, scaled to [0, 1]; zeros if nothing speaks for the class.
    """
    chain = model.operations
    names = [operation.name for operation in chain]
    start, end = names.index(RESIZE) + 1, names.index(backbone) + 1
    *head, output = chain[end:]
    return np.concatenate(
        [
            _compute_batch(chain[start:end], head, output, pixels[at : at + _BATCH], labels[at : at + _BATCH])
            for at in range(0, len(pixels), _BATCH)
        ]
    )


def _compute_batch(
    front: list[keras.Operation],
    head: list[keras.Operation],
    output: keras.layers.Dense,
    pixels: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> NDArray[np.float32]:
    maps = _apply(tf.constant(pixels), front)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        # Of the logits: near 0 and 1 a probability hardly changes, and its gradient is lost to rounding.
        logits = tf.matmul(_apply(maps, head), output.kernel) + output.bias
        if logits.shape[-1] == 1:
            score = logits[:, 0] * tf.constant(2.0 * labels - 1.0, tf.float32)
        else:
            score = tf.gather(logits, labels, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(heat / np.where(highest > 0, highest, 1))


def _apply(tensor: tf.Tensor, chain: list[keras.Operation]) -> tf.Tensor:
    for operation in chain:
        tensor = operation(tensor, training=False) if isinstance(operation, keras.Model) else operation(tensor)
    return tensor
