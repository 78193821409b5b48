"""Statistics of images that come in groups, such as those of a patient: groups are independent, images are not."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from headstart.components.core.metrics.statistics import (
    CONFIDENCE_LEVEL,
    Groups,
    Interval,
    mean_interval,
    wilson_interval,
)


@dataclasses.dataclass(frozen=True)
class GroupedSample:
    """Sample of images that come in groups.

    Attributes:
        unit: Word for a group, such as ``patient``.
        groups: Number of groups.
        effective_images: Number of independent images whose share of successes would vary as much.
    """

    unit: str
    groups: int
    effective_images: float

    def interval(self, share: float, images: int, level: float = CONFIDENCE_LEVEL) -> Interval:
        """Interval of the share of successes, see `korn_graubard_interval`.

        Args:
            share: Share of successes.
            images: Number of images.
            level: Level of the interval.
        """
        return _interval(share, self.effective_images, images, self.groups, level)


def measure_sample(right: NDArray[np.bool_], groups: Groups | None, unit: str) -> GroupedSample | None:
    """Groups of a sample, and what they leave of it; None where no groups are named, or there are no images.

    Args:
        right: Whether each image is a success, (n,).
        groups: Number of the group of each image, (n,); None: no groups are named.
        unit: Word for a group.
    """
    if groups is None or not len(right):
        return None
    return GroupedSample(unit, len(np.unique(groups)), count_effective_images(right, groups))


def read_sample(metrics: dict[str, Any]) -> GroupedSample | None:
    """Groups of the test images, and what they leave of them for the final model; None where no groups are named.

    Args:
        metrics: Content of `metrics.json`; that of an earlier version names none.
    """
    unit, final = metrics.get("grouping"), metrics["test"]
    return GroupedSample(unit, final["groups"], final["effective_images"]) if unit else None


def count_effective_images(
    right: NDArray[np.bool_], groups: Groups, strata: NDArray[np.int64] | None = None
) -> float:
    """Number of independent images whose share of successes would vary as much: n over the design effect.

    The variance is that of the groups' sums of deviations (linearisation), and the number is at most that of the
    images. Where all images are right, or all wrong, nothing shows how alike those of a group are; they then count
    as equal, and groups of equal size count as one image each (Kish).

    Source: L. Kish, "Survey Sampling", 1965, for the design effect.

    Args:
        right: Whether each image is a success, (n,), n at least 1.
        groups: Number of the group of each image, (n,).
        strata: Stratum of each image, (n,): the share is the mean of those of the strata, as balanced accuracy is of
            the recalls. None: one stratum.
    """
    stratum = np.zeros(len(right), np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    sizes = np.bincount(stratum)
    shares = np.bincount(stratum, right) / sizes
    weights = 1 / (len(sizes) * sizes[stratum])
    group = np.unique(groups, return_inverse=True)[1]
    number, share = int(group.max()) + 1, float(shares.mean())
    if number == 1 or not ((shares > 0) & (shares < 1)).any():
        return float(1 / np.square(np.bincount(group, weights)).sum())
    deviations = np.bincount(group, weights * (right - shares[stratum]))
    variance = number / (number - 1) * float(np.square(deviations).sum())
    return min(share * (1 - share) / variance, float(len(right))) if variance else float(len(right))


def korn_graubard_interval(right: NDArray[np.bool_], groups: Groups, level: float = CONFIDENCE_LEVEL) -> Interval:
    """Interval of a share of successes among images in groups; (0, 1) for one group or none.

    It is Clopper's and Pearson's for the effective number of images, which is reduced further where there are few
    groups, by the squared ratio of the quantiles of Student's distribution for images and for groups.

    Source: E. L. Korn and B. I. Graubard, "Confidence Intervals for Proportions with Small Expected Number of
    Positive Counts Estimated from Survey Data", Survey Methodology 24 (1998).

    Args:
        right: Whether each image is a success, (n,).
        groups: Number of the group of each image, (n,).
        level: Level of the interval.
    """
    if not len(right):
        return 0.0, 1.0
    effective = count_effective_images(right, groups)
    return _interval(float(right.mean()), effective, len(right), len(np.unique(groups)), level)


def korn_graubard_lower_bounds(right: NDArray[np.bool_], groups: Groups) -> NDArray[np.float64]:
    """One-sided lower bounds at the 95 % level of the share among the first image, the first two, and so on, (n,).

    See `korn_graubard_interval`, whose lower end at the 90 % level they are; 0 where it says nothing.

    Args:
        right: Whether each image is a success, (n,).
        groups: Number of the group of each image, (n,).
    """
    places = np.unique(groups, return_inverse=True)[1].tolist()
    sizes, hits = [0] * (max(places, default=-1) + 1), [0] * (max(places, default=-1) + 1)
    number = squared_sizes = products = squared_hits = 0
    sums = []
    for place, hit in zip(places, right.astype(int).tolist(), strict=True):
        number += not sizes[place]
        squared_sizes += 2 * sizes[place] + 1
        products += hits[place] + hit * (sizes[place] + 1)
        squared_hits += hit * (2 * hits[place] + 1)
        sizes[place] += 1
        hits[place] += hit
        sums.append((number, squared_sizes, products, squared_hits))
    counts, squares, cross, own = np.array(sums, np.float64).reshape(-1, 4).T
    images = np.arange(1, len(right) + 1)
    share = np.cumsum(right) / images
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = counts / (counts - 1) * np.maximum(0, own - 2 * share * cross + share**2 * squares) / images**2
        varied = np.minimum(share * (1 - share) / variance, images)
        effective = np.where((share > 0) & (share < 1) & (variance > 0), varied, images**2 / squares)
        tail = 1 - CONFIDENCE_LEVEL
        effective *= np.square(stdtrit(np.maximum(1, images - 1), tail) / stdtrit(np.maximum(1, counts - 1), tail))
    some = (share > 0) & (counts > 1)
    low = betaincinv(np.where(some, share * effective, 1), np.where(some, (1 - share) * effective, 0) + 1, tail)
    return np.where(some, low, 0.0)


def count_groups_needed(images: int) -> int:
    """Fewest groups, all of whose images are right, that count as a number of independent images.

    Args:
        images: Number of independent images.
    """
    tail, groups = 1 - CONFIDENCE_LEVEL, images
    while groups * float(ndtri(tail) / stdtrit(groups - 1, tail)) ** 2 < images:
        groups += 1
    return groups


def share_interval(right: NDArray[np.bool_], groups: Groups | None) -> Interval:
    """Interval of a share of successes at the 95 % level: Wilson's, or Korn's and Graubard's with groups.

    Args:
        right: Whether each image is a success, (n,).
        groups: Number of the group of each image, (n,); None: images are independent.
    """
    if groups is None:
        return wilson_interval(int(right.sum()), len(right))
    return korn_graubard_interval(right, groups)


def mean_share_interval(right: NDArray[np.bool_], strata: NDArray[np.int64], groups: Groups) -> Interval:
    """Interval of the mean of the shares of strata, such as the mean recall of classes, at the 95 % level.

    It is the wider one, at either end, of two: `korn_graubard_interval` of the mean, which knows how shares vary
    together where groups have images of several strata; and `mean_interval` of their own intervals, which knows how
    little is known of a stratum of few groups.

    Args:
        right: Whether each image is a success, (n,), n at least 1.
        strata: Stratum of each image, (n,).
        groups: Number of the group of each image, (n,).
    """
    rows = [strata == stratum for stratum in np.unique(strata)]
    shares = np.array([right[each].mean() for each in rows])
    alone = mean_interval(shares, [korn_graubard_interval(right[each], groups[each]) for each in rows])
    effective = count_effective_images(right, groups, strata)
    together = _interval(float(shares.mean()), effective, len(right), len(np.unique(groups)), CONFIDENCE_LEVEL)
    return min(alone[0], together[0]), max(alone[1], together[1])


def sign_flip_test(differences: NDArray[np.int64], groups: Groups) -> tuple[float, float]:
    """Exact one-sided p-values for "the first is better" and "the second is better", of images in groups.

    Of equally good models, the summed difference of a group is as probable with the other sign. Its signs are flipped
    in all ways, whose sums are counted exactly, group by group. With one image a group this is McNemar's exact test.

    Source: E. J. G. Pitman, Supplement to the Journal of the Royal Statistical Society 4 (1937); M. H. Gail et al.,
    "On Design Considerations and Randomization-Based Inference for Community Intervention Trials", Statistics in
    Medicine 15 (1996), for whole groups.

    Args:
        differences: 1 where only the first model is right, -1 where only the second one is, else 0, (n,).
        groups: Number of the group of each image, (n,).

    Returns:
        Two p-values, both 1 if no group differs.
    """
    group = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(group, differences).round().astype(np.int64)
    # Probability of each sum of the sizes that get a plus sign.
    chances = np.ones(1)
    for size in np.sort(np.abs(sums[sums != 0])).tolist():
        half, chances = chances / 2, np.zeros(len(chances) + size)
        chances[: len(half)] += half
        chances[size:] += half
    first, second = int(sums[sums > 0].sum()), int(-sums[sums < 0].sum())
    return min(1.0, float(chances[first:].sum())), min(1.0, float(chances[second:].sum()))


def _interval(share: float, effective: float, images: int, groups: int, level: float) -> Interval:
    if groups < 2:
        return 0.0, 1.0
    tail = (1 - level) / 2
    effective *= float(stdtrit(images - 1, tail) / stdtrit(groups - 1, tail)) ** 2
    right, wrong = share * effective, (1 - share) * effective
    low = float(betaincinv(right, wrong + 1, tail)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, wrong, 1 - tail)) if wrong > 0 else 1.0
    return low, high
