"""Export as a TensorFlow SavedModel that takes image files, in the layout of TensorFlow Serving and KServe."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.networks.classifier import RESIZE, remove_resizing
from headstart.components.core.networks.image_batches import resize
from headstart.components.core.registry.export_formats import LABELS, SAVED_MODEL
from headstart.components.publish_model.graph_decoding import decode_files
from headstart.components.publish_model.warmup import write_warmup

EXTRA = "assets.extra"
"""TensorFlow's name for the folder of files that the graph does not use."""


def export_saved_model(
    version: Path, model: keras.Model, classes: list[str], temperature: float, ranges: Ranges | None = None
) -> None:
    """Writes a SavedModel with three signatures, its class names, and requests to warm up a server.

    Each signature returns `label`, text (n,), and `probabilities`, float32 (n, classes), with temperature scaling.

    - `serving_default`: `image_bytes`, bytes of image files, strings (n,). An unreadable file gets an empty label and
      zeros and does not affect the others.
    - `pixels`: `pixels`, float32 (n, height, width, 3), upright RGB 0-255.
    - `pixels_uint8`: the same as uint8.

    Args:
        version: Folder of the version.
        model: Classifier as it was saved.
        classes: Class names.
        temperature: Temperature of the calibration; 1 leaves the probabilities as they are.
        ranges: Ranges of deep images by form, from the model's manifest; None: it has none.
    """
    folder = version / SAVED_MODEL
    # BatchNorm is not folded: a server that runs such a graph on two threads can crash in oneDNN (TensorFlow 2.21).
    network, size = remove_resizing(model), model.get_layer(RESIZE).height

    def predict(resized: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = _to_probabilities(network(resized, training=False))
        # Before temperature scaling, which rounds.
        label = tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1))
        return {"label": label, "probabilities": tf.cast(_scale(probabilities, temperature), tf.float32)}

    def predict_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        resized, readable = decode_files(image_bytes, size, ranges)
        predictions = predict(resized)
        return {
            "label": tf.where(readable, predictions["label"], ""),
            "probabilities": tf.where(readable[:, None], predictions["probabilities"], 0.0),
        }

    def predict_pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(resize(pixels, size))

    arrays = (None, None, None, 3)
    # Keras' own export would write every weight twice: as Keras' variable and as the TensorFlow variable inside it.
    served = tf.Module()
    served.weights = [each.value for each in network.variables]
    signatures = {
        "serving_default": (predict_files, tf.TensorSpec((None,), tf.string, "image_bytes")),
        "pixels": (predict_pixels, tf.TensorSpec(arrays, tf.float32, "pixels")),
        "pixels_uint8": (predict_pixels, tf.TensorSpec(arrays, tf.uint8, "pixels")),
    }
    traced = {name: tf.function(run, input_signature=[spec]) for name, (run, spec) in signatures.items()}
    tf.saved_model.save(served, str(folder), traced)
    (folder / EXTRA).mkdir(exist_ok=True)
    (folder / EXTRA / LABELS).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    write_warmup(folder / EXTRA, size)


def _to_probabilities(output: tf.Tensor) -> tf.Tensor:
    """Does the same as `classifier.to_probabilities` inside a graph."""
    wide = tf.cast(output, tf.float64)
    return tf.concat([1 - wide, wide], axis=1) if wide.shape[1] == 1 else wide


def _scale(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """Does the same as `core.metrics.calibration.scaled` inside a graph."""
    logits = tf.math.log(tf.clip_by_value(probabilities, np.finfo(np.float32).eps, 1.0))
    return tf.nn.softmax(logits / temperature)
