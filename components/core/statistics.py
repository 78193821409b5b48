"""Intervals, so that no accuracy stands alone."""

from scipy.stats import binomtest

LEVEL = 0.95


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The Wilson score interval of a proportion at the 95 % level; (0, 1) when there are no trials.

    Source: E. B. Wilson, JASA 22 (1927), by way of SciPy.
    """
    if not trials:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)
