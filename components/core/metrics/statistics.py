"""Intervals and tests, so that no figure stands alone and no difference is taken on faith."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, ndtri

LEVEL = 0.95
RESAMPLES = 1_000

# What all resamples may cost in images times classes.
_CELLS = 50_000_000
_FEWEST_RESAMPLES = 200

Interval = tuple[float, float]


def wilson(successes: int, trials: int) -> Interval:
    """The Wilson score interval of a proportion at the 95 % level; (0, 1) when there are no trials.

    Source: E. B. Wilson, JASA 22 (1927).
    """
    if not trials:
        return 0.0, 1.0
    square = float(ndtri((1 + LEVEL) / 2)) ** 2
    centre = (successes + square / 2) / (trials + square)
    spread = math.sqrt(square * (successes * (trials - successes) / trials + square / 4)) / (trials + square)
    # Rounding must not take from a bound of 0 or 1 what the formula gives it.
    return centre - spread if successes else 0.0, centre + spread if successes < trials else 1.0


def mean_of_proportions(successes: Sequence[int], trials: Sequence[int]) -> Interval:
    """Interval of the unweighted mean of independent proportions at the 95 % level; (0, 1) when there are none.

    Each proportion's own Wilson limits are squared and added, so that the interval keeps its width where all is right
    and a bootstrap's would vanish; for one proportion it is Wilson's.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10; G. Y. Zou and A. Donner, ibid. 27 (2008).

    Args:
        successes: Of each proportion.
        trials: Of each proportion, at least 1.
    """
    if not len(trials):
        return 0.0, 1.0
    shares = np.array(successes) / np.array(trials)
    low, high = np.array([wilson(*each) for each in zip(successes, trials, strict=True)]).T
    below, above = (float(np.sqrt(np.square(shares - limit).sum())) / len(shares) for limit in (low, high))
    return max(0.0, float(shares.mean()) - below), min(1.0, float(shares.mean()) + above)


def clopper_pearson_lower(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """One-sided exact lower bounds of proportions at the 95 % level; 0 where nothing succeeded or was tried.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934).

    Args:
        successes: (n,).
        trials: (n,).

    Returns:
        (n,).
    """
    some = successes > 0
    bounds = betaincinv(np.where(some, successes, 1), trials - successes + 1, 1 - LEVEL)
    return np.where(some, bounds, 0.0)


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """The exact interval of a proportion; each end is a one-sided bound at the level `(1 + level) / 2`.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934).

    Args:
        successes: Number of successes.
        trials: Number of trials; 0 gives (0, 1).
        level: Share of such intervals that hold the true proportion, at least.
    """
    tail = (1 - level) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Exact one-sided p-values of McNemar's test: that the first is no better, and that the second is no better.

    Of the images that exactly one of two models gets right, equal models would share in halves.

    Source: Q. McNemar, Psychometrika 12 (1947), with the exact binomial distribution.

    Args:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second model gets right.

    Returns:
        Both 1 where the models differ nowhere.
    """
    differ = only_first + only_second
    if not differ:
        return 1.0, 1.0
    # The chance of at least so many heads among so many coins.
    first, second = (float(bdtrc(heads - 1, differ, 0.5)) if heads else 1.0 for heads in (only_first, only_second))
    return first, second


def cross_entropies(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each image in nats, (n,).

    A zero probability of the truth would make it infinite; float32's resolution is what a model can say.

    Args:
        labels: (n,).
        probabilities: (n, classes).
    """
    bounded = np.clip(probabilities, np.finfo(np.float32).eps, 1.0)
    return np.asarray(np.log(bounded.sum(axis=1)) - np.log(bounded[np.arange(len(labels)), labels]))


def affordable_resamples(cells: int) -> int:
    """How many resamples to draw: a thousand, or fewer from 50,000 cells on, as intervals are narrow then anyway.

    Args:
        cells: Images times classes.
    """
    return max(_FEWEST_RESAMPLES, min(RESAMPLES, _CELLS // cells))


def resamples_of(images: int, seed: int, resamples: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """Yields how often each image is drawn, (images,), in one resample with replacement after another.

    Source: B. Efron, Annals of Statistics 7 (1979).

    Args:
        images: At least 1.
        seed: Of the resampling.
        resamples: How many.
    """
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(0, images, images), minlength=images)


def percentiles(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """The interval between percentiles of a statistic's resamples, stretched where need be to hold its value.

    Average precision over a handful of images is larger in nearly every resample, where some of them come twice, than
    it is; an interval beside the figure would be nonsense.

    Args:
        values: (1 + resamples,), the first on all images; NaN where the statistic does not exist in a resample.
        level: Share of the resamples inside.
    """
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined[1:] if len(defined) > 1 else defined, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), float(values[0])), max(float(high), float(values[0]))
