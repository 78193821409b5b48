"""Confidence intervals, paired tests and bootstrap resamples."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, ndtr, ndtri, stdtrit

CONFIDENCE_LEVEL = 0.95
"""Level of all confidence intervals, unless a function is given another."""

RESAMPLES = 1_000

# Upper limit of images times classes times resamples.
_CELLS = 50_000_000
_FEWEST_RESAMPLES = 200

Interval = tuple[float, float]

Groups = NDArray[np.int64]
"""Number of the group of each image, (n,), such as its patient: groups are independent, images of a group are not."""


def wilson_interval(successes: int, trials: int) -> Interval:
    """The Wilson score interval of a proportion at the 95 % level; (0, 1) when there are no trials.

    Source: E. B. Wilson, JASA 22 (1927).
    """
    if not trials:
        return 0.0, 1.0
    square = float(ndtri((1 + CONFIDENCE_LEVEL) / 2)) ** 2
    centre = (successes + square / 2) / (trials + square)
    spread = math.sqrt(square * (successes * (trials - successes) / trials + square / 4)) / (trials + square)
    # The formula gives exactly 0 or 1 here; rounding must not change that.
    return centre - spread if successes else 0.0, centre + spread if successes < trials else 1.0


def mean_of_proportions(successes: Sequence[int], trials: Sequence[int]) -> Interval:
    """Interval of the unweighted mean of independent proportions at the 95 % level; (0, 1) when there are none.

    The distances of the proportions from their Wilson limits are squared and added. The interval keeps its width
    where every trial succeeds, and a bootstrap interval would vanish; for one proportion it is Wilson's.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10; G. Y. Zou and A. Donner, ibid. 27 (2008).

    Args:
        successes: Number of successes of each proportion.
        trials: Number of trials of each proportion, at least 1.
    """
    shares = np.array(successes) / np.array(trials)
    return mean_interval(shares, [wilson_interval(*each) for each in zip(successes, trials, strict=True)])


def mean_interval(shares: NDArray[np.float64], intervals: Sequence[Interval]) -> Interval:
    """Interval of the unweighted mean of independent proportions from their own intervals, see `mean_of_proportions`.

    Args:
        shares: Proportions, (n,); none gives (0, 1).
        intervals: Interval of each.
    """
    if not len(shares):
        return 0.0, 1.0
    low, high = np.array(intervals).T
    below, above = (float(np.sqrt(np.square(shares - limit).sum())) / len(shares) for limit in (low, high))
    return max(0.0, float(shares.mean()) - below), min(1.0, float(shares.mean()) + above)


def clopper_pearson_lower_bounds(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """One-sided exact lower bounds of proportions at the 95 % level; 0 without successes or trials.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934).

    Args:
        successes: Numbers of successes, (n,).
        trials: Numbers of trials, (n,).

    Returns:
        Lower bounds, (n,).
    """
    some = successes > 0
    bounds = betaincinv(np.where(some, successes, 1), trials - successes + 1, 1 - CONFIDENCE_LEVEL)
    return np.where(some, bounds, 0.0)


def clopper_pearson_interval(successes: int, trials: int, level: float = CONFIDENCE_LEVEL) -> Interval:
    """The exact interval of a proportion; each end is a one-sided bound at the level `(1 + level) / 2`.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934).

    Args:
        successes: Number of successes.
        trials: Number of trials; 0 gives (0, 1).
        level: Least share of such intervals that contain the true proportion.
    """
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Exact one-sided p-values of McNemar's test, for "the first is better" and "the second is better".

    Equally good models get half each of the images that exactly one of them gets right.

    Source: Q. McNemar, Psychometrika 12 (1947), with the exact binomial distribution.

    Args:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second model gets right.

    Returns:
        Two p-values, both 1 if the models never differ.
    """
    differ = only_first + only_second
    if not differ:
        return 1.0, 1.0
    # Probability of at least so many heads among `differ` coins.
    first, second = (float(bdtrc(heads - 1, differ, 0.5)) if heads else 1.0 for heads in (only_first, only_second))
    return first, second


def cross_entropies(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each image in nats, (n,).

    Probabilities are bounded below by the resolution of float32, so that the result is finite.

    Args:
        labels: Class indices, (n,).
        probabilities: Probabilities, (n, classes).
    """
    bounded = np.clip(probabilities, np.finfo(np.float32).eps, 1.0)
    return np.asarray(np.log(bounded.sum(axis=1)) - np.log(bounded[np.arange(len(labels)), labels]))


def choose_resample_count(cells: int) -> int:
    """Number of bootstrap resamples: a thousand, or fewer beyond 50,000 cells, where intervals are narrow anyway.

    Args:
        cells: Number of images times number of classes.
    """
    return max(_FEWEST_RESAMPLES, min(RESAMPLES, _CELLS // cells))


def draw_resamples(
    images: int, seed: int, resamples: int = RESAMPLES, groups: Groups | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yields bootstrap resamples as counts: how often each image is drawn with replacement, (images,).

    With groups, whole groups are drawn (cluster bootstrap), and the number of images changes from one to the next.

    Source: B. Efron, Annals of Statistics 7 (1979); A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their
    Application", 1997, section 3.8, for groups.

    Args:
        images: Number of images, at least 1.
        seed: Random seed of the resamples.
        resamples: Number of resamples.
        groups: Number of the group of each image, (images,); None: images are independent.
    """
    random = np.random.default_rng(seed)
    places = None if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = images if places is None else int(places.max()) + 1
    for _ in range(resamples):
        counts = np.bincount(random.integers(0, drawn, drawn), minlength=drawn)
        yield counts if places is None else counts[places]


def resampling_level(level: float, groups: Groups | None) -> float:
    """Share of cluster resamples that an interval of the given level has to hold; the level itself without groups.

    Resamples of few groups vary too little. The quantiles are taken further out, as far as those of Student's
    distribution are from the normal ones.

    Source: T. C. Hesterberg, "What Teachers Should Know About the Bootstrap", American Statistician 69 (2015), the
    expanded percentile interval.

    Args:
        level: Level of the interval.
        groups: Number of the group of each image, (n,); None: images are independent.
    """
    if groups is None:
        return level
    number = len(np.unique(groups))
    if number < 2:
        return 1.0
    quantile = float(stdtrit(number - 1, (1 + level) / 2)) * math.sqrt(number / (number - 1))
    return float(1 - 2 * ndtr(-quantile))


def percentile_interval(values: NDArray[np.float64], level: float = CONFIDENCE_LEVEL) -> Interval:
    """Percentile interval of a bootstrapped statistic, widened if need be to contain the statistic itself.

    Average precision on a handful of images is smaller than in nearly all of its resamples, in which images repeat;
    the plain interval would not contain it.

    Args:
        values: Statistic on all images, then on each resample, (1 + resamples,); NaN where it does not exist.
        level: Share of the resamples inside the interval.
    """
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined[1:] if len(defined) > 1 else defined, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), float(values[0])), max(float(high), float(values[0]))


def folds_variance_ratio(folds: int) -> float:
    """Variance of a statistic of predictions out of fold, as a multiple of that on a test set of as many images.

    The models of K folds have different training images, and differ by chance. Two of them differ in 1 / (K - 1) of
    their images, and the ratio is 1 + 2 / (K - 1). The form is ours, and the 2 is what `benchmarks/fold_coverage.py`
    finds for 3 to 10 folds. For two folds the ratio is that of C. Nadeau and Y. Bengio, "Inference for the
    Generalization Error", Machine Learning 52 (2003). Theirs for more folds, 1 + K / (K - 1), was too cautious.

    Args:
        folds: Number of folds, at least 2.
    """
    return 1 + 2 / (folds - 1)


def widen_for_folds(value: float, interval: Interval, folds: int, most: float = 1.0) -> Interval:
    """Interval of a statistic of predictions out of fold, from one that takes them for those of a test set.

    The square root of `folds_variance_ratio` widens both sides of the interval.

    Args:
        value: The statistic, at least 0.
        interval: Its interval as of independent predictions.
        folds: Number of folds, at least 2.
        most: Largest value of the statistic.
    """
    factor = math.sqrt(folds_variance_ratio(folds))
    low, high = interval
    return max(0.0, value - factor * (value - low)), min(most, value + factor * (high - value))
