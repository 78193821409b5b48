"""Grad-CAM: how much each place of a feature map speaks for a class."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def grad_cam(features: tf.Tensor, head: Sequence[keras.Operation], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Computes heat maps of the places of a feature map.

    Source: R. R. Selvaraju et al., "Grad-CAM", ICCV 2017.

    Args:
        features: Feature maps of images, (n, height, width, channels).
        head: Layers of the head, the output layer last.
        labels: (n,), index of the class to explain in each image.

    Returns:
        (n, height, width), scaled to [0, 1]; zeros if nothing speaks for the class.
    """
    *layers, output = head
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = features
        for layer in layers:
            pooled = layer(pooled, training=False) if isinstance(layer, keras.Model) else layer(pooled)
        # Of the logits: near 0 and 1 a probability hardly changes, and its gradient is lost to rounding.
        logits = tf.matmul(pooled, output.kernel) + output.bias
        if logits.shape[-1] == 1:
            score = logits[:, 0] * tf.constant(2.0 * labels - 1.0, tf.float32)
        else:
            score = tf.gather(logits, labels, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(heat / np.where(highest > 0, highest, 1))
