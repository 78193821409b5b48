"""ROC and precision-recall curves and the areas under them, one class against the rest."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from headstart.components.core.metrics.statistics import Groups, draw_resamples

_CELLS_AT_ONCE = 4_000_000

Curve = tuple[list[float], list[float], list[float]]


def compute_ranking_metrics(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    seed: int,
    resamples: int,
    groups: Groups | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Computes ROC area and average precision of every class, on all images and on bootstrap resamples.

    The ROC area is the share of correctly ranked pairs of one image of the class and one of the others; ties count
    half (J. A. Hanley and B. J. McNeil, Radiology 143, 1982). Average precision is the mean of the precision at each
    image of the class; images of equal probability are taken together.

    Args:
        labels: Class indices, (n,).
        probabilities: Probabilities, (n, classes).
        seed: Random seed of the resamples.
        resamples: Number of resamples.
        groups: Number of the group of each image, (n,), of which whole ones are drawn; None: images are independent.

    Returns:
        ROC areas and average precisions, each (1 + resamples, classes); the first row is that of all images. NaN
        where a class has no image, or all of them.
    """
    images, classes = probabilities.shape
    areas, precisions = np.empty((2, 1 + resamples, classes))
    at_once = max(1, _CELLS_AT_ONCE // images)
    for start in range(0, classes, at_once):
        some = slice(start, start + at_once)
        ranks = _Ranks(labels, probabilities[:, some].T, start)
        for row, weights in enumerate(_all_and(draw_resamples(images, seed, resamples, groups), images)):
            areas[row, some], precisions[row, some] = ranks.areas(weights)
    return areas, precisions


def _all_and(resamples: Iterator[NDArray[np.int64]], images: int) -> Iterator[NDArray[np.int64]]:
    yield np.ones(images, np.int64)
    yield from resamples


class _Ranks:
    """Images of some classes in order of falling probability, sorted once for all resamples.

    Args:
        labels: Class indices, (n,).
        scores: Probabilities, (classes, n).
        first: Index of the first of the classes.
    """

    def __init__(self, labels: NDArray[np.int64], scores: NDArray[np.float64], first: int) -> None:
        self._classes = len(scores)
        self._order = np.argsort(-scores, axis=1, kind="stable")
        falling = -np.take_along_axis(scores, self._order, axis=1)
        # For each image of a class: start and end of its ties in the order of all images, and start and end of the
        # ties that are of the class, counted over all classes.
        parts = []
        before = 0
        for number in range(self._classes):
            at = np.flatnonzero(labels[self._order[number]] == first + number)
            ties = falling[number][at]
            parts.append(
                (
                    np.full(len(at), number),
                    self._order[number][at],
                    np.searchsorted(falling[number], ties, "left"),
                    np.searchsorted(falling[number], ties, "right"),
                    before + np.searchsorted(ties, ties, "left"),
                    before + np.searchsorted(ties, ties, "right"),
                    np.full(len(at), before),
                )
            )
            before += len(at)
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        self._class, self._image, self._start, self._end, self._own_start, self._own_end, self._offset = columns

    def areas(self, weights: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """ROC area and average precision of each class, (classes,), with images weighted by `weights`, (n,)."""
        above = np.zeros((self._classes, len(weights) + 1), np.int64)
        np.cumsum(weights[self._order], axis=1, out=above[:, 1:])
        own = weights[self._image]
        own_above = np.concatenate([[0], np.cumsum(own)])
        through, until = above[self._class, self._end], above[self._class, self._start]
        right_through = own_above[self._own_end] - own_above[self._offset]
        wrong_above = (through - right_through + until - own_above[self._own_start] + own_above[self._offset]) / 2
        of_class = self._sum(own)
        others = weights.sum() - of_class
        with np.errstate(invalid="ignore", divide="ignore"):
            areas = self._sum(own * (others[self._class] - wrong_above)) / (of_class * others)
            precision = self._sum(own * right_through / np.maximum(1, through)) / of_class
        undefined = (of_class == 0) | (others == 0)
        return np.where(undefined, np.nan, areas), np.where(undefined, np.nan, precision)

    def _sum(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(self._class, values, minlength=self._classes).astype(np.float64)


def roc(is_class: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """False positive rates, true positive rates and thresholds of one class against the rest.

    The first point has the threshold 1, which no probability exceeds; in scikit-learn it is infinite.

    Args:
        is_class: True for images of the class, (n,), neither all true nor all false.
        scores: Probabilities of the class, (n,).
    """
    false_positive, true_positive, thresholds = roc_curve(is_class, scores)
    return false_positive.tolist(), true_positive.tolist(), np.minimum(thresholds, 1.0).tolist()


def precision_recall(is_class: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """Recalls, precisions and thresholds of one class against the rest, by rising recall.

    Args:
        is_class: True for images of the class, (n,), not all false.
        scores: Probabilities of the class, (n,).
    """
    precisions, recalls, thresholds = precision_recall_curve(is_class, scores)
    return recalls[::-1].tolist(), precisions[::-1].tolist(), [1.0, *thresholds[::-1].tolist()]
