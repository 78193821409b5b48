"""From a record to the batches that a network is trained and validated on."""

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
from headstart.components.core.training.class_weights import ClassWeights, image_weights

_PLAIN_BATCH = 256
_DRAWS = 2**10

Batch = tuple[NDArray[np.float32], ...]
"""Inputs, targets and, where images do not weigh alike in the loss, their weights."""


def targets_of(labels: NDArray[np.int64], units: int, smoothing: float = 0.0) -> NDArray[np.float32]:
    """What the outputs shall be.

    Args:
        labels: (n,).
        units: Of the output: 1 for a sigmoid, the number of classes for a softmax.
        smoothing: Share of each target that is spread over the classes.

    Returns:
        (n, units).
    """
    hard = labels[:, None] if units == 1 else np.eye(units)[labels]
    return np.asarray((1 - smoothing) * hard + smoothing / max(2, units), np.float32)


class TrainingBatches:
    """Shuffled training batches from a record; a pass shows each image equally often, in views drawn at random.

    Args:
        record: What to draw from.
        training: How large batches are, how many make a pass, and what is done to targets and images.
        units: Of the network's output.
        seed: Of the order, of the views and of MixUp.
        weights: Of the classes in the loss; a soft target stands for its likeliest class.

    Attributes:
        batch_size: Images a batch.
        ready: When each batch of the present epoch was put together, by its number, on the monotonic clock.
    """

    def __init__(
        self, record: Features, training: TrainingSettings, units: int, seed: int, weights: ClassWeights = None
    ) -> None:
        self._record = record
        self._replicas = _replicas()
        self.batch_size = _divisible(min(training.batch_size, record.images), self._replicas)
        self._steps = training.steps_per_epoch or math.ceil(record.images / self.batch_size)
        self._rounds = math.ceil(training.steps_per_epoch * self.batch_size / record.images) or 1
        self._targets = targets_of(record.labels, units, training.label_smoothing)
        self._mix = keras.layers.MixUp(training.mixup, seed=seed) if training.mixup else None
        self._seed = seed
        self._weights = weights
        self.ready: dict[int, float] = {}
        self.draw(0)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Batch:
        batch = self._put_together(index)
        self.ready[index] = time.monotonic()
        return batch

    def images_until(self, index: int) -> int:
        """How many images an epoch has shown with its batch of this number, from 0, and those before it."""
        return min((index + 1) * self.batch_size, len(self._order))

    def _put_together(self, index: int) -> Batch:
        drawn = slice(index * self.batch_size, (index + 1) * self.batch_size)
        images = self._order[drawn]
        inputs = self._record.activations[self._views[drawn], images].astype(np.float32)
        targets = self._targets[images]
        if self._mix is not None:
            # Of each batch by itself as well; it draws fewer numbers than that.
            self._mix.generator.state.assign([self._seed, (self._epoch * self._steps + index) * _DRAWS])
            mixed = self._mix({"images": inputs, "labels": targets}, training=True)
            inputs, targets = mixed["images"].numpy(), mixed["labels"].numpy()
        if self._weights is None:
            return inputs, targets
        likeliest = to_probabilities(targets).argmax(axis=1)
        return inputs, targets, image_weights(self._weights, likeliest).astype(np.float32)

    def draw(self, epoch: int) -> None:
        """Draws order and views of an epoch, from 0: each by itself, so that training can go on where it stopped."""
        self._epoch = epoch
        random = np.random.default_rng([self._seed, epoch])
        images = self._record.images
        order = np.concatenate([random.permutation(images) for _ in range(self._rounds)])
        self._order = np.resize(order, _filled(len(order), self._replicas))
        self._views = random.integers(self._record.views, size=len(self._order))


class PlainBatches:
    """The plain views of a record, in order.

    Args:
        record: What they are of.
        units: Of the network's output.
        weights: Of the classes in the loss.
    """

    def __init__(self, record: Features, units: int, weights: ClassWeights = None) -> None:
        self._record = record
        self._targets = targets_of(record.labels, units)
        replicas = _replicas()
        self._batch = _divisible(_PLAIN_BATCH, replicas)
        # Some images twice, where replicas could not share them out otherwise. In the loss the second time has no
        # weight; the accuracy, which knows no weights, counts it.
        self._order = np.resize(np.arange(record.images), _filled(record.images, replicas))
        share = len(self._order) / record.images
        once = np.where(np.arange(len(self._order)) < record.images, share, 0)
        self._weights = (once * image_weights(weights, record.labels)[self._order]).astype(np.float32)
        self._weighted = weights is not None or len(self._order) > record.images

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch)

    def __getitem__(self, index: int) -> Batch:
        drawn = slice(index * self._batch, (index + 1) * self._batch)
        images = self._order[drawn]
        batch = self._record.activations[0, images].astype(np.float32), self._targets[images]
        return (*batch, self._weights[drawn]) if self._weighted else batch


def stream(batches: TrainingBatches | PlainBatches) -> tf.data.Dataset:
    """A pass over batches, the next of which are put together while the network works."""
    data = tf.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))),
        output_signature=tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0]),
    )
    return prefetch(data.apply(tf.data.experimental.assert_cardinality(len(batches))))


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _divisible(batch: int, replicas: int) -> int:
    """A batch of which each replica gets an equal part."""
    return max(replicas, batch - batch % replicas)


def _filled(images: int, replicas: int) -> int:
    return math.ceil(images / replicas) * replicas
