"""Export as a TensorFlow SavedModel that takes image files, in the layout of TensorFlow Serving and KServe."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.artifacts.reference import ReferenceFeatures
from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.metrics.unfamiliarity import SHORTEST, check_reference_width
from headstart.components.core.networks.classifier import RESIZE, add_features_output, remove_resizing
from headstart.components.core.networks.image_batches import resize
from headstart.components.core.registry.export_formats import LABELS, SAVED_MODEL
from headstart.components.publish_model.graph_decoding import decode_files
from headstart.components.publish_model.warmup import write_warmup

EXTRA = "assets.extra"
"""TensorFlow's name for the folder of files that the graph does not use."""


@dataclasses.dataclass(frozen=True)
class ServedFamiliarity:
    """Reference features of a model, and the threshold that its evaluation chose.

    Attributes:
        reference: Reference features.
        threshold: Largest unfamiliarity that is not flagged.
    """

    reference: ReferenceFeatures
    threshold: float


def export_saved_model(
    version: Path,
    model: keras.Model,
    classes: list[str],
    temperature: float,
    ranges: Ranges | None = None,
    familiarity: ServedFamiliarity | None = None,
) -> None:
    """Writes a SavedModel with three signatures, its class names, and requests to warm up a server.

    Each signature returns `label`, text (n,), and `probabilities`, float32 (n, classes), with temperature scaling;
    with reference features also `unfamiliarity`, float32 (n,), and `unfamiliar`, bool (n,), whether that is above the
    threshold. The reference is one float16 variable that the three share.

    - `serving_default`: `image_bytes`, bytes of image files, strings (n,). An unreadable file gets an empty label,
      zeros and false, and does not affect the others.
    - `pixels`: `pixels`, float32 (n, height, width, 3), upright RGB 0-255.
    - `pixels_uint8`: the same as uint8.

    Args:
        version: Folder of the version.
        model: Classifier as it was saved.
        classes: Class names.
        temperature: Temperature of the calibration; 1 leaves the probabilities as they are.
        ranges: Ranges of deep images by form, from the model's manifest; None: it has none.
        familiarity: Reference features and threshold; None: the model has none.

    Raises:
        HeadstartError: If the reference is of another network.
    """
    folder = version / SAVED_MODEL
    # BatchNorm is not folded: a server that runs such a graph on two threads can crash in oneDNN (TensorFlow 2.21).
    network, size = add_features_output(remove_resizing(model)), model.get_layer(RESIZE).height
    served = tf.Module()
    if familiarity:
        check_reference_width(network.output[1].shape[-1], familiarity.reference)
        served.reference = tf.Variable(familiarity.reference.features.astype(np.float16), trainable=False)

    # The signatures share one graph of the network: each trace of it takes seconds.
    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)], autograph=False)
    def predict(resized: tf.Tensor) -> dict[str, tf.Tensor]:
        output, features = network(resized, training=False)
        probabilities = _to_probabilities(output)
        # Before temperature scaling, which rounds.
        label = tf.gather(tf.constant(classes), tf.argmax(probabilities, axis=1))
        predictions = {"label": label, "probabilities": tf.cast(_scale(probabilities, temperature), tf.float32)}
        if familiarity:
            unfamiliarity = _compute_unfamiliarity(features, served.reference, familiarity.reference.neighbours)
            predictions["unfamiliarity"] = unfamiliarity
            predictions["unfamiliar"] = unfamiliarity > familiarity.threshold
        return predictions

    def predict_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        resized, readable = decode_files(image_bytes, size, ranges)
        predictions = predict(resized)
        none = {"label": "", "probabilities": 0.0, "unfamiliarity": 0.0, "unfamiliar": False}
        return {
            name: tf.where(readable[:, None] if len(values.shape) == 2 else readable, values, none[name])
            for name, values in predictions.items()
        }

    def predict_pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        predictions: dict[str, tf.Tensor] = predict(resize(pixels, size))
        return predictions

    arrays = (None, None, None, 3)
    # Keras' own export would write every weight twice: as Keras' variable and as the TensorFlow variable inside it.
    served.weights = [each.value for each in network.variables]
    signatures = {
        "serving_default": (predict_files, tf.TensorSpec((None,), tf.string, "image_bytes")),
        "pixels": (predict_pixels, tf.TensorSpec(arrays, tf.float32, "pixels")),
        "pixels_uint8": (predict_pixels, tf.TensorSpec(arrays, tf.uint8, "pixels")),
    }
    traced = {
        name: tf.function(run, input_signature=[spec], autograph=False) for name, (run, spec) in signatures.items()
    }
    tf.saved_model.save(served, str(folder), traced)
    (folder / EXTRA).mkdir(exist_ok=True)
    (folder / EXTRA / LABELS).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    write_warmup(folder / EXTRA, size)


def _compute_unfamiliarity(features: tf.Tensor, reference: tf.Variable, neighbours: int) -> tf.Tensor:
    """Does the same as `core.metrics.unfamiliarity.compute_unfamiliarity` inside a graph."""
    wide = tf.cast(features, tf.float32)
    unit = wide / tf.maximum(tf.norm(wide, axis=1, keepdims=True), SHORTEST)
    cosines = tf.matmul(unit, tf.cast(reference, tf.float32), transpose_b=True)
    nearest = tf.math.top_k(cosines, neighbours).values[:, -1]
    return tf.clip_by_value(1 - nearest, 0.0, 2.0)


def _to_probabilities(output: tf.Tensor) -> tf.Tensor:
    """Does the same as `classifier.to_probabilities` inside a graph."""
    wide = tf.cast(output, tf.float64)
    return tf.concat([1 - wide, wide], axis=1) if wide.shape[1] == 1 else wide


def _scale(probabilities: tf.Tensor, temperature: float) -> tf.Tensor:
    """Does the same as `core.metrics.calibration.scaled` inside a graph."""
    logits = tf.math.log(tf.clip_by_value(probabilities, np.finfo(np.float32).eps, 1.0))
    return tf.nn.softmax(logits / temperature)
