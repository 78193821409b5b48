"""What classifiers say of a whole dataset."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_info
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.networks.common_prefix import CommonPrefix, group_by_common_prefix
from headstart.components.core.networks.devices import inference_batch_size
from headstart.components.core.networks.image_batches import read_image_batches
from headstart.components.core.util.logs import tracked


def predict_proba(models: Sequence[keras.Model], dataset: Path, what: str) -> list[NDArray[np.float64]]:
    """Runs classifiers once over every image, and what several of them begin with once for all.

    Args:
        models: Classifiers as they were saved.
        dataset: A dataset artifact.
        what: Name of the work in the log.

    Returns:
        Of each classifier (images, classes), in the dataset's order, each row adding up to 1.
    """
    found: dict[int, NDArray[np.float64]] = {}
    images, at_once = read_info(dataset).images, inference_batch_size()
    for group in group_by_common_prefix(models):
        run = _traced(group)
        batches = read_image_batches(dataset, group.front.input.shape[1], at_once)
        batches = tracked(batches, what, math.ceil(images / at_once))
        said = [[to_probabilities(output.numpy()) for output in run(pixels)] for pixels in batches]
        for place, member in enumerate(group.members):
            found[member] = np.concatenate([each[place] for each in said])
    return [found[at] for at in range(len(models))]


def _traced(group: CommonPrefix) -> tf.types.experimental.PolymorphicFunction:
    front, tails = fold_batchnorm(group.front), [fold_batchnorm(tail) for tail in group.tails]

    @tf.function(input_signature=[tf.TensorSpec((None, *group.front.input.shape[1:]))])
    def run(pixels: tf.Tensor) -> list[tf.Tensor]:
        activations = front(pixels, training=False)
        return [tail(activations, training=False) for tail in tails]

    return run
