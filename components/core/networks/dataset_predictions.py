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
    predictions: dict[int, NDArray[np.float64]] = {}
    images, at_once = read_dataset_info(dataset).images, inference_batch_size()
    groups = group_by_common_prefix(models)

    outputs: list[list[list[NDArray[np.float64]]]] = [[] for _ in groups]
    pairs = (
        (number, pixels)
        for number, group in enumerate(groups)
        for pixels in read_image_batches(dataset, group.front.input.shape[1], at_once)
    )
    traced = [_trace(group) for group in groups]
    for number, pixels in track_progress(pairs, what, images * len(groups), lambda pair: len(pair[1])):
        outputs[number].append([to_probabilities(output.numpy()) for output in traced[number](pixels)])
    for group, found in zip(groups, outputs, strict=True):
        for place, member in enumerate(group.members):
            predictions[member] = np.concatenate([each[place] for each in found])
    return [predictions[at] for at in range(len(models))]


def _trace(group: CommonPrefix) -> tf.types.experimental.PolymorphicFunction:
    front, tails = fold_batchnorm(group.front), [fold_batchnorm(tail) for tail in group.tails]

    @tf.function(input_signature=[tf.TensorSpec((None, *group.front.input.shape[1:]))])
    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        activations = front(pixels, training=False)
        return [tail(activations, training=False) for tail in tails]

    return run
