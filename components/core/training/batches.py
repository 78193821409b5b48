"""Batches of cached features that a network is trained and validated on."""

import math
import time

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.features.compute import Features
from headstart.components.core.networks.classifier import to_probabilities
from headstart.components.core.networks.tf_data import prefetch
from headstart.components.core.recipes.recipe import TrainingSettings
from headstart.components.core.training.class_weights import ClassWeights, get_image_weights

_VALIDATION_BATCH = 256
_DRAWS_PER_BATCH = 2**10

Batch = tuple[NDArray[np.float32], ...]
"""Inputs, targets and, if images have different weights in the loss, their weights."""


def make_targets(labels: NDArray[np.int64], units: int, smoothing: float = 0.0) -> NDArray[np.float32]:
    """Targets of the network's output.

    Args:
        labels: Labels, (n,).
        units: Output units: 1 for a sigmoid, the number of classes for a softmax.
        smoothing: Share of each target that is spread over the classes.

    Returns:
        Targets, (n, units).
    """
    hard = labels[:, None] if units == 1 else np.eye(units)[labels]
    return np.asarray((1 - smoothing) * hard + smoothing / max(2, units), np.float32)


class TrainingBatches:
    """Shuffled training batches; an epoch shows each image equally often, in views drawn at random.

    Args:
        features: Cached features of the training set.
        training: Settings of the phase: batch size, steps per epoch, label smoothing and MixUp.
        units: Output units of the network.
        seed: Random seed of order, views and MixUp.
        weights: Class weights of the loss; a soft target counts as its likeliest class.

    Attributes:
        batch_size: Images per batch.
        ready_at: Time at which each batch of the present epoch was assembled, by its index, on the monotonic clock.
    """

    def __init__(
        self, features: Features, training: TrainingSettings, units: int, seed: int, weights: ClassWeights = None
    ) -> None:
        self._features = features
        self._replicas = _replicas()
        self.batch_size = _divisible(min(training.batch_size, features.images), self._replicas)
        self._steps = training.steps_per_epoch or math.ceil(features.images / self.batch_size)
        self._rounds = math.ceil(training.steps_per_epoch * self.batch_size / features.images) or 1
        self._targets = make_targets(features.labels, units, training.label_smoothing)
        self._mix = keras.layers.MixUp(training.mixup, seed=seed) if training.mixup else None
        self._seed = seed
        self._weights = weights
        self.ready_at: dict[int, float] = {}
        self.draw_epoch(0)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Batch:
        batch = self._assemble(index)
        self.ready_at[index] = time.monotonic()
        return batch

    def images_until(self, index: int) -> int:
        """Number of images in the batches of an epoch up to and including the one at an index, from 0."""
        return min((index + 1) * self.batch_size, len(self._order))

    def _assemble(self, index: int) -> Batch:
        drawn = slice(index * self.batch_size, (index + 1) * self.batch_size)
        images = self._order[drawn]
        inputs = self._features.activations[self._views[drawn], images].astype(np.float32)
        targets = self._targets[images]
        if self._mix is not None:
            # Each batch has its own range of random numbers, so that it does not depend on the batches before it.
            position = (self._epoch * self._steps + index) * _DRAWS_PER_BATCH
            self._mix.generator.state.assign([self._seed, position])
            mixed = self._mix({"images": inputs, "labels": targets}, training=True)
            inputs, targets = mixed["images"].numpy(), mixed["labels"].numpy()
        if self._weights is None:
            return inputs, targets
        likeliest = to_probabilities(targets).argmax(axis=1)
        return inputs, targets, get_image_weights(self._weights, likeliest).astype(np.float32)

    def draw_epoch(self, epoch: int) -> None:
        """Draws order and views of an epoch, from 0, independently of other epochs so that training can resume."""
        self._epoch = epoch
        random = np.random.default_rng([self._seed, epoch])
        images = self._features.images
        order = np.concatenate([random.permutation(images) for _ in range(self._rounds)])
        self._order = np.resize(order, _filled(len(order), self._replicas))
        self._views = random.integers(self._features.views, size=len(self._order))


class PlainBatches:
    """Validation batches: the plain views, in order.

    Args:
        features: Cached features of the images.
        units: Output units of the network.
        weights: Class weights of the loss.
    """

    def __init__(self, features: Features, units: int, weights: ClassWeights = None) -> None:
        self._features = features
        self._targets = make_targets(features.labels, units)
        replicas = _replicas()
        self._batch = _divisible(_VALIDATION_BATCH, replicas)
        # Some images come twice if their number cannot be divided among the replicas. The loss gives the second time
        # no weight; the accuracy, which has no weights, counts it.
        self._order = np.resize(np.arange(features.images), _filled(features.images, replicas))
        scale = len(self._order) / features.images
        once = np.where(np.arange(len(self._order)) < features.images, scale, 0)
        self._weights = (once * get_image_weights(weights, features.labels)[self._order]).astype(np.float32)
        self._weighted = weights is not None or len(self._order) > features.images

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch)

    def __getitem__(self, index: int) -> Batch:
        drawn = slice(index * self._batch, (index + 1) * self._batch)
        images = self._order[drawn]
        batch = self._features.activations[0, images].astype(np.float32), self._targets[images]
        return (*batch, self._weights[drawn]) if self._weighted else batch


def to_tf_dataset(batches: TrainingBatches | PlainBatches) -> tf.data.Dataset:
    """One epoch of batches; the next ones are assembled while the network works."""
    data = tf.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))),
        output_signature=tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0]),
    )
    return prefetch(data.apply(tf.data.experimental.assert_cardinality(len(batches))))


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _divisible(batch: int, replicas: int) -> int:
    """Largest batch size, up to the given one, that divides equally among the replicas."""
    return max(replicas, batch - batch % replicas)


def _filled(images: int, replicas: int) -> int:
    return math.ceil(images / replicas) * replicas
