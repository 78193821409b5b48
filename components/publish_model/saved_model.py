"""A TensorFlow SavedModel that takes files as they are, in the layout that TensorFlow Serving and KServe read."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.networks.classifier import RESIZE, remove_resizing
from headstart.components.core.networks.image_batches import resize
from headstart.components.core.registry.version_files import LABELS, SAVED_MODEL
from headstart.components.publish_model.graph_decoding import decode_batch
from headstart.components.publish_model.warmup import write_warmup

EXTRA = "assets.extra"
"""TensorFlow's name for what lies beside a graph that does not use it."""


def export_saved_model(
    version: Path, model: keras.Model, classes: list[str], temperature: float, ranges: Ranges | None = None
) -> None:
    """Writes a SavedModel with three signatures, its class names, and requests that warm a server up.

    Each signature returns `label`, text (n,), and `probabilities`, float32 (n, classes), scaled by the temperature.

    - `serving_default`: `image_bytes`, files as they are, (n,). What is no picture gets an empty label and zeros, and
      does not stop the others.
    - `pixels`: `pixels`, float32 (n, height, width, 3), upright RGB 0-255.
    - `pixels_uint8`: the same as uint8.

    Args:
        version: Folder of the version.
        model: A classifier as it was saved.
        classes: Names of its classes.
        temperature: Of the calibration; 1 leaves the probabilities as they are.
        ranges: Black and white of deep pictures, as the model has them; None: it has none.
    """
    folder = version / SAVED_MODEL
    # Not folded: a server that asks such a graph twice at once can crash in oneDNN (TensorFlow 2.21).
    network, size = remove_resizing(model), model.get_layer(RESIZE).height

    def answers(resized: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = _probabilities(network(resized, training=False))
        # The likeliest is told before scaling, which rounds.
        label = tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": tf.cast(_scaled(probabilities, temperature), tf.float32)}

    def of_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        resized, readable = decode_batch(image_bytes, size, ranges)
        given = answers(resized)
        return {
            "label": tf.where(readable, given["label"], ""),
            "probabilities": tf.where(readable[:, None], given["probabilities"], 0.0),
        }

    def of_pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return answers(resize(pixels, size))

    arrays = (None, None, None, 3)
    # Keras' own archive would write every weight twice: as Keras' variable, and as the TensorFlow one inside it.
    served = tf.Module()
    served.weights = [each.value for each in network.variables]
    signatures = {
        "serving_default": (of_files, tf.TensorSpec((None,), tf.string, "image_bytes")),
        "pixels": (of_pixels, tf.TensorSpec(arrays, tf.float32, "pixels")),
        "pixels_uint8": (of_pixels, tf.TensorSpec(arrays, tf.uint8, "pixels")),
    }
    traced = {name: tf.function(of, input_signature=[takes]) for name, (of, takes) in signatures.items()}
    tf.saved_model.save(served, str(folder), traced)
    (folder / EXTRA).mkdir(exist_ok=True)
    (folder / EXTRA / LABELS).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    write_warmup(folder / EXTRA, size)


def _probabilities(output: tf.Tensor) -> tf.Tensor:
    """As `classifier.to_probabilities`, inside a graph."""
    wide = tf.cast(output, tf.float64)
    return tf.concat([1 - wide, wide], axis=1) if wide.shape[1] == 1 else wide


def _scaled(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """As `core.metrics.calibration.scaled`, inside a graph."""
    logits = tf.math.log(tf.clip_by_value(probabilities, np.finfo(np.float32).eps, 1.0))
    return tf.nn.softmax(logits / temperature)
