"""Predictions of classifiers for a whole dataset."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.networks.common_prefix import CommonPrefix, group_by_common_prefix
from headstart.components.core.networks.devices import inference_batch_size
from headstart.components.core.networks.image_batches import read_image_batches
from headstart.components.core.util.logs import track_progress


def predict_proba(models: Sequence[keras.Model], dataset: Path, what: str) -> list[NDArray[np.float64]]:
    """Predicts class probabilities of every image with several classifiers; their common prefix runs once.

    Args:
        models: Classifiers as they were saved.
        dataset: Dataset artifact.
        what: Name of this phase in the log.

    Returns:
        Probabilities by each classifier, (images, classes), in the dataset's order; each row adds up to 1.
    """
    return predict_proba_and_features(models, dataset, what, 0, np.empty(0, np.int64))[0]


def predict_proba_and_features(
    models: Sequence[keras.Model], dataset: Path, what: str, member: int, rows: NDArray[np.int64]
) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
    """Predicts class probabilities as `predict_proba` does, and keeps features of some images from the same pass.

    Args:
        models: Classifiers as they were saved.
        dataset: Dataset artifact.
        what: Name of this work in the log.
        member: Index of the classifier whose features are kept.
        rows: Indices of the images whose features are kept, (m,), ascending.

    Returns:
        Probabilities by each classifier, (images, classes), and the activations that the output layer of `member`
        gets, (m, features), in the order of `rows`.
    """
    predictions: dict[int, NDArray[np.float64]] = {}
    kept: list[NDArray[np.float32]] = []
    images, at_once = read_dataset_info(dataset).images, inference_batch_size()
    groups = group_by_common_prefix(models)
    places = [each.members.index(member) if len(rows) and member in each.members else None for each in groups]
    outputs: list[list[list[NDArray[np.float64]]]] = [[] for _ in groups]
    done = [0] * len(groups)
    pairs = (
        (number, pixels)
        for number, group in enumerate(groups)
        for pixels in read_image_batches(dataset, group.front.input.shape[1], at_once)
    )
    traced = [_trace(group, place) for group, place in zip(groups, places, strict=True)]
    for number, pixels in track_progress(pairs, what, images * len(groups), lambda pair: len(pair[1])):
        probabilities, features = traced[number](pixels)
        outputs[number].append([to_probabilities(output.numpy()) for output in probabilities])
        first, done[number] = done[number], done[number] + len(pixels)
        if features:
            wanted = rows[np.searchsorted(rows, first) : np.searchsorted(rows, done[number])] - first
            kept.append(features[0].numpy()[wanted])
    for group, found in zip(groups, outputs, strict=True):
        for place, index in enumerate(group.members):
            predictions[index] = np.concatenate([each[place] for each in found])
    return [predictions[at] for at in range(len(models))], np.concatenate(kept) if kept else np.empty((0, 0), "f4")


def _trace(group: CommonPrefix, place_of_features: int | None) -> tf.types.experimental.PolymorphicFunction:
    front, tails = fold_batchnorm(group.front), [fold_batchnorm(tail) for tail in group.tails]
    if place_of_features is not None:
        tails[place_of_features] = _add_features_output(tails[place_of_features])

    @tf.function(input_signature=[tf.TensorSpec((None, *group.front.input.shape[1:]))])
    def run(pixels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        activations = front(pixels, training=False)
        outputs = [tail(activations, training=False) for tail in tails]
        features = []
        if place_of_features is not None:
            outputs[place_of_features], seen = outputs[place_of_features]
            features.append(seen)
        return outputs, features

    return run


def _add_features_output(tail: keras.Model) -> keras.Model:
    """The tail with a second output: the activations that its output layer gets."""
    layer, node, _ = tail.output._keras_history
    (features,) = layer._inbound_nodes[node].input_tensors
    return keras.Model(tail.input, [tail.output, features])
