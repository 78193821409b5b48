"""Reference features of a trained model, computed from the cached features of its training images."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.reference import MOST_VALUES, ReferenceFeatures
from headstart.components.core.features.compute import Features
from headstart.components.core.metrics.unfamiliarity import NEIGHBOURS, compute_unfamiliarity, scale_to_unit_length
from headstart.components.core.networks.classifier import add_features_output
from headstart.components.core.training.training_job import TrainingJob

MOST_IMAGES = 2_000
"""Most training images in a reference; with MobileNetV2's 1,280 features they take 5 MB."""

_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """What a model knows, in features.

    Attributes:
        reference: Features of some training images.
        validation: Unfamiliarities of the validation images, (images,).
        held_out: Unfamiliarities of the images that the model predicts for a cross-validation, (images,).
    """

    reference: ReferenceFeatures
    validation: NDArray[np.float64]
    held_out: NDArray[np.float64]


def compute_familiarity(job: TrainingJob) -> Familiarity:
    """Computes the reference features of a trained job, and how unfamiliar its validation images are.

    Only the drawn training images, the validation images and those held out pass the trained part of the network, in
    their plain views.

    Args:
        job: The job, its network as it is saved.
    """
    network = add_features_output(job.tail)
    most = min(MOST_IMAGES, max(1, MOST_VALUES // int(np.prod(network.output[1].shape[1:]))))
    rows = draw_reference_images(job.train_features.labels, most, job.inputs.seed)
    features = np.concatenate(list(_compute_features(network, job.train_features, rows)))
    # As they are read again.
    rounded = scale_to_unit_length(features).astype(np.float16).astype(np.float32)
    reference = ReferenceFeatures(rounded, min(NEIGHBOURS, len(rows)))

    def score(images: Features | None) -> NDArray[np.float64]:
        parts = _compute_features(network, images, np.arange(images.images)) if images else ()
        scores = [compute_unfamiliarity(each, reference) for each in parts]
        return np.concatenate([np.empty(0), *scores]).astype(np.float64)

    return Familiarity(reference, score(job.validation_features), score(job.held_out_features))


def draw_reference_images(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draws training images: equally many of each class, as far as there are, so that no rare class looks unfamiliar.

    Args:
        labels: Labels of the training images, (n,).
        most: Largest number of images.
        seed: Random seed of the draw.

    Returns:
        Rows of the images, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    first = np.searchsorted(labels[by_class], labels[by_class])
    # The first drawn of each class, then the second of each, and so on.
    place = np.arange(len(labels)) - first
    return np.sort(by_class[np.argsort(place, kind="stable")[:most]])


def _compute_features(
    network: keras.Model, features: Features, rows: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Activations that the output layer gets, batch by batch; layer by layer, as tracing would take longer."""
    for start in range(0, len(rows), _BATCH):
        inputs = features.activations[0, rows[start : start + _BATCH]].astype(np.float32)
        _, values = network(inputs, training=False)
        yield np.asarray(keras.ops.convert_to_numpy(values), np.float32)
