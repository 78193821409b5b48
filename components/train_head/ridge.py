"""Ridge regression onto one-hot classes, in closed form: a classifier in the time of a few matrix products.

The target of a class is 1 for its images and 0 for the others (R. Rifkin and A. Klautau, "In Defense of One-Vs-All
Classification", JMLR 5, 2004). The regression needs only sums over images, which can be added and subtracted: a fold
is left out without another pass over the others.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from headstart.components.core.metrics.calibration import softmax
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.training.class_weights import ClassWeights, get_image_weights
from headstart.components.core.util.errors import HeadstartError

MAX_COMPONENTS = 256
"""Principal components of the features that are kept; ridge regression shrinks the others to almost nothing."""

_BLOCK_IMAGES = 4096

_RESOLUTION = 2 * float(np.finfo(np.float16).eps)
"""Relative difference of two features that rounding to float16, in which they are cached, can explain."""


@dataclasses.dataclass(frozen=True)
class ReducedFeatures:
    """Averaged features projected on their principal components.

    Attributes:
        features: Projected features, (n, components), at most 256 components. With no more channels than that they
            are only shifted, by the features of the first image.
        mean: Vector subtracted from the averaged features, (channels,).
        axes: Projection of the difference, (channels, components).
    """

    features: NDArray[np.float32]
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]


def reduce_features(cached: Sequence[NDArray[np.float16]], channels: int) -> ReducedFeatures:
    """Projects cached features on their principal components, which depend on no label.

    Args:
        cached: Features of each data set, (n, …, channels) or flattened, read block by block. Positions of a feature
            map are averaged.
        channels: Channels of the backbone's feature map.

    Returns:
        The features of all data sets, one after the other.

    Raises:
        HeadstartError: If features are not numbers, or are the same for all images.
    """
    low, high = np.full(channels, np.inf, np.float32), np.full(channels, -np.inf, np.float32)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for array in cached:
            for start in range(0, len(array), _BLOCK_IMAGES):
                values = array[start : start + _BLOCK_IMAGES].astype(np.float32)
                block = values.reshape(len(values), -1, channels).mean(axis=1)
                np.minimum(low, block.min(axis=0), out=low)
                np.maximum(high, block.max(axis=0), out=high)
                yield block

    images = sum(map(len, cached))
    # Features that hardly differ would be lost in the rounding of their sums, so the first image's are subtracted.
    mean, axes = next(blocks())[0].copy(), np.eye(channels, dtype=np.float32)
    if channels > MAX_COMPONENTS:
        total = np.zeros(channels)
        products = np.zeros((channels, channels))
        for block in blocks():
            block -= mean
            total += block.sum(axis=0, dtype=np.float64)
            products += block.T @ block
        _raise_if_useless(low, high, images)
        products -= np.outer(total, total) / images
        axes = eigh(products.astype(np.float32), subset_by_index=(channels - MAX_COMPONENTS, channels - 1))[1]
        mean += (total / images).astype(np.float32)
    features = np.empty((images, axes.shape[1]), np.float32)
    start = 0
    for block in blocks():
        np.matmul(block - mean, axes, out=features[start : start + len(block)])
        start += len(block)
    _raise_if_useless(low, high, images)
    return ReducedFeatures(features, mean, axes)


def _raise_if_useless(low: NDArray[np.float32], high: NDArray[np.float32], images: int) -> None:
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
            "check that the images are not all of one colour (data.html), and that --weights are right"
        )


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over images that ridge regression needs.

    Attributes:
        images: Number of images.
        features: Sum of the features, (features,).
        products: Sum of the features' outer products, (features, features).
        class_counts: Number of images of each class, (classes,).
        class_features: Sum of the features of each class, (features, classes).
    """

    images: int
    features: NDArray[np.float64]
    products: NDArray[np.float64]
    class_counts: NDArray[np.float64]
    class_features: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> "Sums":
        """Sums over images with features (n, features) and labels (n,)."""
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
        """The features' outer products and their sums by class, both after subtracting the means."""
        return (
            self.products - np.outer(self.features, self.features) / self.images,
            self.class_features - np.outer(self.features, self.class_counts) / self.images,
        )


@dataclasses.dataclass(frozen=True)
class RidgeClassifier:
    """A classifier whose scores are near 1 for an image's class and near 0 for the others.

    Attributes:
        mean: Mean of the features, (features,).
        weights: Weights, (features, classes).
        class_shares: Share of the images that are of each class, (classes,).
    """

    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    class_shares: NDArray[np.float64]

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of images, (n, features) to (n, classes), without a float64 copy of the features."""
        return features @ self.weights.astype(np.float32) + (self.class_shares - self.mean @ self.weights)


def fit_ridge_for_each(sums: Sums, penalties: NDArray[np.float64]) -> list[RidgeClassifier]:
    """Fits a classifier for each penalty, all from one eigendecomposition."""
    products, class_features = sums.centred()
    values, vectors = eigh(products)
    rotated = vectors.T @ class_features
    return [_classifier(sums, vectors @ (rotated / (np.maximum(values, 0) + each)[:, None])) for each in penalties]


def fit_ridge(sums: Sums, penalty: float) -> RidgeClassifier:
    """Fits a classifier for one penalty by Cholesky decomposition, which is faster."""
    products, class_features = sums.centred()
    np.fill_diagonal(products, np.diag(products) + penalty)
    try:
        return _classifier(sums, cho_solve(cho_factor(products), class_features))
    except LinAlgError:
        # Linearly dependent features and a small penalty: rounding has made the matrix indefinite.
        return fit_ridge_for_each(sums, np.array([penalty]))[0]


def _classifier(sums: Sums, weights: NDArray[np.float64]) -> RidgeClassifier:
    return RidgeClassifier(sums.features / sums.images, weights, sums.class_counts / sums.images)


@dataclasses.dataclass(frozen=True)
class RidgeSettings:
    """Hyperparameters of the ridge classifier, chosen out of fold.

    Attributes:
        penalty: Penalty on the squared weights.
        temperature: Divisor that turns scores into logits.
    """

    penalty: float
    temperature: float


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """A linear classifier of averaged features, with the weights of a dense layer.

    Attributes:
        kernel: Weights, (channels, units): one sigmoid unit for two classes, or a softmax unit for each class.
        bias: Biases, (units,).
        loss: Mean cross-entropy on the validation images, weighted as in training; infinite if there are none.
        accuracy: Share of the validation images that are classified correctly; 0 if there are none.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    loss: float
    accuracy: float


def fit_linear_head(
    data: ReducedFeatures,
    labels: NDArray[np.int64],
    train_images: int,
    classes: int,
    settings: RidgeSettings,
    weights: ClassWeights = None,
) -> LinearHead:
    """Fits ridge regression on the training images and returns it as a head.

    Args:
        data: Features of the training and the validation images, one after the other.
        labels: Labels of all of them, (n,).
        train_images: Number of training images; the others measure loss and accuracy.
        classes: Number of classes.
        settings: Penalty and temperature.
        weights: Class weights of the loss.
    """
    ridge = fit_ridge(Sums.of(data.features[:train_images], labels[:train_images], classes), settings.penalty)
    loss, accuracy, tested = math.inf, 0.0, labels[train_images:]
    if len(tested):
        probabilities = softmax(ridge.scores(data.features[train_images:]) / settings.temperature)
        loss = float(np.mean(cross_entropies(tested, probabilities) * get_image_weights(weights, tested)))
        accuracy = float((probabilities.argmax(axis=1) == tested).mean())
    kernel = data.axes @ ridge.weights / settings.temperature
    bias = (ridge.class_shares - ridge.mean @ ridge.weights) / settings.temperature - data.mean @ kernel
    if classes == 2:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    return LinearHead(kernel, bias, loss, accuracy)
