"""Ridge regression onto classes, in closed form: a classifier in the time it takes to multiply some matrices.

A class is 1 for its images and 0 for the others (R. Rifkin and A. Klautau, "In Defense of One-Vs-All Classification",
JMLR 5, 2004). What is needed of the images are sums, which can be added and taken away: a fold is left out without
passing over the others again.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from headstart.components.core.metrics.calibration import softmax
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.training.class_weights import ClassWeights, image_weights
from headstart.components.core.util.errors import HeadstartError

COMPONENTS = 256
"""Principal components that are kept of the features; what lies beyond, a ridge presses to nothing anyway."""

_BLOCK = 4096

_RESOLUTION = 2 * float(np.finfo(np.float16).eps)
"""Relative difference of two features below which it may be the rounding to float16 that they are recorded with."""


@dataclasses.dataclass(frozen=True)
class Reduced:
    """Features by their principal components.

    Attributes:
        features: (n, components), at most 256; the averaged features less those of the first image if they
            are no more.
        mean: What was taken from the averaged features, (channels,).
        axes: What the rest was multiplied with, (channels, components).
    """

    features: NDArray[np.float32]
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]


def reduced(recorded: Sequence[NDArray[np.float16]], channels: int) -> Reduced:
    """Recorded features by their principal components, which know nothing of labels.

    Args:
        recorded: (n, …) each, read block by block; what follows the first axis ends with the channels. Positions of a
            feature map, where they are kept, are averaged.
        channels: Of the backbone.

    Returns:
        All of them, one after the other.

    Raises:
        HeadstartError: If features are not numbers, or are the same for all images.
    """
    low, high = np.full(channels, np.inf, np.float32), np.full(channels, -np.inf, np.float32)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for array in recorded:
            for start in range(0, len(array), _BLOCK):
                values = array[start : start + _BLOCK].astype(np.float32)
                block = values.reshape(len(values), -1, channels).mean(axis=1)
                np.minimum(low, block.min(axis=0), out=low)
                np.maximum(high, block.max(axis=0), out=high)
                yield block

    images = sum(map(len, recorded))
    # Features that hardly differ would drown in the rounding of their sums; what the first image has is taken away.
    mean, axes = next(blocks())[0].copy(), np.eye(channels, dtype=np.float32)
    if channels > COMPONENTS:
        total = np.zeros(channels)
        products = np.zeros((channels, channels))
        for block in blocks():
            block -= mean
            total += block.sum(axis=0, dtype=np.float64)
            products += block.T @ block
        _raise_unless_they_tell_apart(low, high, images)
        products -= np.outer(total, total) / images
        axes = eigh(products.astype(np.float32), subset_by_index=(channels - COMPONENTS, channels - 1))[1]
        mean += (total / images).astype(np.float32)
    features = np.empty((images, axes.shape[1]), np.float32)
    start = 0
    for block in blocks():
        np.matmul(block - mean, axes, out=features[start : start + len(block)])
        start += len(block)
    _raise_unless_they_tell_apart(low, high, images)
    return Reduced(features, mean, axes)


def _raise_unless_they_tell_apart(low: NDArray[np.float32], high: NDArray[np.float32], images: int) -> None:
    """Refuses features from which nothing can be learned.

    Args:
        low: Least value of each feature, (channels,); NaN if one value is.
        high: Greatest value of each feature, (channels,).
        images: Number of images.

    Raises:
        HeadstartError: If a value is not a number, or no feature differs by more than its rounding to float16.
    """
    if not np.isfinite(low).all():
        raise HeadstartError(
            f"the backbone gives features that are not numbers (NaN) for some of the {images} images: its weights "
            "are damaged or expect another scaling; pass other --weights, or another --backbone"
        )
    if not (high - low > _RESOLUTION * np.maximum(np.abs(low), np.abs(high))).any():
        raise HeadstartError(
            f"the backbone gives the same features for all {images} images, and nothing can be learned from them: "
            "look whether the pictures are all of one colour (data.html), and whether --weights are right"
        )


@dataclasses.dataclass(frozen=True)
class Sums:
    """What a ridge regression needs of some images.

    Attributes:
        images: How many.
        features: Sums, (features,).
        products: Of features with features, (features, features).
        targets: Images of each class, (classes,).
        of_classes: Sums of features by class, (features, classes).
    """

    images: int
    features: NDArray[np.float64]
    products: NDArray[np.float64]
    targets: NDArray[np.float64]
    of_classes: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> "Sums":
        """Sums over images: features (n, features), labels (n,)."""
        targets = np.eye(classes, dtype=np.float32)[labels]
        return cls(
            len(features),
            features.sum(axis=0, dtype=np.float64),
            (features.T @ features).astype(np.float64),
            targets.sum(axis=0, dtype=np.float64),
            (features.T @ targets).astype(np.float64),
        )

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, f.name) - getattr(other, f.name) for f in dataclasses.fields(self)))

    def centred(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Products of features with features and with classes, both taken from their means."""
        return (
            self.products - np.outer(self.features, self.features) / self.images,
            self.of_classes - np.outer(self.features, self.targets) / self.images,
        )


@dataclasses.dataclass(frozen=True)
class Ridge:
    """A classifier: scores are near 1 for an image's class and near 0 for others.

    Attributes:
        mean: Of the features, (features,).
        weights: (features, classes).
        shares: Of the classes, (classes,).
    """

    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    shares: NDArray[np.float64]

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, features) to (n, classes); the features are multiplied as they are, without a copy of float64."""
        return features @ self.weights.astype(np.float32) + (self.shares - self.mean @ self.weights)


def fit_all(sums: Sums, penalties: NDArray[np.float64]) -> list[Ridge]:
    """A classifier for each penalty, from one decomposition."""
    products, of_classes = sums.centred()
    values, vectors = eigh(products)
    rotated = vectors.T @ of_classes
    return [_ridge(sums, vectors @ (rotated / (np.maximum(values, 0) + each)[:, None])) for each in penalties]


def fit_one(sums: Sums, penalty: float) -> Ridge:
    """The classifier for one penalty, by Cholesky's decomposition, which is quicker."""
    products, of_classes = sums.centred()
    np.fill_diagonal(products, np.diag(products) + penalty)
    try:
        return _ridge(sums, cho_solve(cho_factor(products), of_classes))
    except LinAlgError:
        # Rounding has made it indefinite: features that depend on one another, and a small penalty.
        return fit_all(sums, np.array([penalty]))[0]


def _ridge(sums: Sums, weights: NDArray[np.float64]) -> Ridge:
    return Ridge(sums.features / sums.images, weights, sums.targets / sums.images)


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """A linear classifier of averaged features, as a dense layer has it.

    Attributes:
        kernel: (channels, units); one unit, a sigmoid's, for two classes, or one for each class of a softmax.
        bias: (units,).
        loss: Mean cross-entropy on the validation images, weighted as in training.
        accuracy: Share of them that are right.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    loss: float
    accuracy: float


def linear_head(
    data: Reduced,
    labels: NDArray[np.int64],
    learned: int,
    classes: int,
    penalty: float,
    temperature: float,
    weights: ClassWeights = None,
) -> LinearHead:
    """The regression as a head.

    Args:
        data: Training and validation images, one after the other.
        labels: Of all of them.
        learned: How many are training images; the others measure.
        classes: How many.
        penalty: Of the regression.
        temperature: That its scores are divided by.
        weights: Of the classes in the loss.
    """
    ridge = fit_one(Sums.of(data.features[:learned], labels[:learned], classes), penalty)
    probabilities = softmax(ridge.scores(data.features[learned:]) / temperature)
    errors = cross_entropies(labels[learned:], probabilities)
    loss = float(np.mean(errors * image_weights(weights, labels[learned:])))
    accuracy = float((probabilities.argmax(axis=1) == labels[learned:]).mean())
    kernel = data.axes @ ridge.weights / temperature
    bias = (ridge.shares - ridge.mean @ ridge.weights) / temperature - data.mean @ kernel
    if classes == 2:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    return LinearHead(kernel, bias, loss, accuracy)
