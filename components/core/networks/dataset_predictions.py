"""Predictions of classifiers for a whole dataset."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.reference import ReferenceFeatures
from headstart.components.core.metrics.unfamiliarity import compute_unfamiliarity
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import add_features_output, to_probabilities
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
    return predict_proba_and_features(models, dataset, what, 0, np.empty(0, np.int64)).probabilities


@dataclasses.dataclass(frozen=True)
class DatasetPredictions:
    """Predictions of classifiers for a dataset of n images.

    Attributes:
        probabilities: Class probabilities by each classifier, (n, classes), each row adding up to 1.
        features: Features of some images by one classifier, (m, features).
        unfamiliarity: Unfamiliarities of all images by the same classifier, (n,); None without reference features.
    """

    probabilities: list[NDArray[np.float64]]
    features: NDArray[np.float32]
    unfamiliarity: NDArray[np.float64] | None = None


def predict_proba_and_features(
    models: Sequence[keras.Model],
    dataset: Path,
    what: str,
    member: int,
    rows: NDArray[np.int64],
    reference: ReferenceFeatures | None = None,
) -> DatasetPredictions:
    """Predicts class probabilities as `predict_proba` does, and uses features of one classifier from the same pass.

    Args:
        models: Classifiers as they were saved.
        dataset: Dataset artifact.
        what: Name of this work in the log.
        member: Index of the classifier whose features are used: the activations that its output layer gets.
        rows: Indices of the images whose features are kept, (m,), ascending.
        reference: Reference features of `member`; None: no unfamiliarity is computed.

    Raises:
        HeadstartError: If the reference is of another network.
    """
    predictions: dict[int, NDArray[np.float64]] = {}
    kept: list[NDArray[np.float32]] = []
    scores: list[NDArray[np.float32]] = []
    images, at_once = read_dataset_info(dataset).images, inference_batch_size()
    groups = group_by_common_prefix(models)
    wanted = bool(len(rows)) or reference is not None
    places = [each.members.index(member) if wanted and member in each.members else None for each in groups]
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
            seen = features[0].numpy()
            kept.append(seen[rows[np.searchsorted(rows, first) : np.searchsorted(rows, done[number])] - first])
            if reference:
                scores.append(compute_unfamiliarity(seen, reference))
    for group, found in zip(groups, outputs, strict=True):
        for place, index in enumerate(group.members):
            predictions[index] = np.concatenate([each[place] for each in found])
    return DatasetPredictions(
        [predictions[at] for at in range(len(models))],
        np.concatenate(kept) if kept else np.empty((0, 0), np.float32),
        np.concatenate(scores).astype(np.float64) if scores else None,
    )


def _trace(group: CommonPrefix, place_of_features: int | None) -> tf.types.experimental.PolymorphicFunction:
    front, tails = fold_batchnorm(group.front), [fold_batchnorm(tail) for tail in group.tails]
    if place_of_features is not None:
        tails[place_of_features] = add_features_output(tails[place_of_features])

    @tf.function(input_signature=[tf.TensorSpec((None, *group.front.input.shape[1:]))], autograph=False)
    def run(pixels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        activations = front(pixels, training=False)
        outputs = [tail(activations, training=False) for tail in tails]
        features = []
        if place_of_features is not None:
            outputs[place_of_features], seen = outputs[place_of_features]
            features.append(seen)
        return outputs, features

    return run
