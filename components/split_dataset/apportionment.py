"""Assignment of the groups of one class to splits of given sizes, exact where the groups allow it."""

import bisect
import itertools
import math
from collections.abc import Sequence

import numpy as np


def largest_remainder(images: int, proportions: Sequence[float], required: int) -> list[int]:
    """Whole numbers in given proportions that add up to `images` (Hamilton's method).

    Each split gets its share rounded down; those with the largest remainders get one more, earlier splits first. One
    of the first `required` splits that would stay empty takes an image from the largest.

    Args:
        images: Number of images to divide.
        proportions: Proportion of each split, at least one of them above 0.
        required: Number of splits, from the first on, that must not be empty. If there are fewer images, some stay
            empty.
    """
    shares = [images * part / sum(proportions) for part in proportions]
    # Products such as 20 * 0.15 / 1.0 may fall short of a whole number by their rounding.
    sizes = [math.floor(share + 1e-9) for share in shares]
    by_remainder = sorted(range(len(proportions)), key=lambda at: round(sizes[at] - shares[at], 9))
    for at in by_remainder[: images - sum(sizes)]:
        sizes[at] += 1
    for at in range(required):
        largest = max(range(len(sizes)), key=lambda other: sizes[other])
        if not sizes[at] and sizes[largest] > 1:
            sizes[at] += 1
            sizes[largest] -= 1
    return sizes


def assign_by_hash(
    sizes: Sequence[int],
    positions: Sequence[float],
    proportions: Sequence[float],
    capacities: Sequence[int],
    required: int,
) -> list[int]:
    """Assigns each group to the split that its hash points to, with as few exceptions as the capacities allow.

    The splits are arcs of a circle, as long as their proportions, and each group has a position on it. Larger groups
    are assigned first; among equal ones, those deepest inside their arc. Where a split is full, the groups near its
    ends go to the nearest split with capacity. So a split that is too large by hash gives away its surplus, and no
    image more.

    Args:
        sizes: Number of images of each group.
        positions: Position of each group on the circle, in [0, 1).
        proportions: Proportion of each split.
        capacities: Number of images of each split; they add up to the sum of `sizes`.
        required: Number of splits, from the first on, none of which stays empty if there are as many groups.

    Returns:
        Index of a split for each group.
    """
    ends = np.cumsum([0.0, *proportions]) / sum(proportions)
    place = np.asarray(positions, np.float64)[:, None]
    around = np.abs(place - ends)
    to_end = np.minimum(around, 1 - around)
    distance = np.minimum(to_end[:, :-1], to_end[:, 1:])
    # Inside its arc, the deeper a group lies, the further its distance is below 0.
    distance = np.where((ends[:-1] <= place) & (place < ends[1:]), -distance, distance)
    distance[:, np.asarray(proportions) == 0] = np.inf
    depth = distance.min(axis=1)
    order = np.lexsort((np.arange(len(sizes)), depth, -np.asarray(sizes)))

    pointed = distance.argmin(axis=1).tolist()
    left = list(capacities)
    assigned = [0] * len(sizes)
    empty = set(range(required))
    for number, group in enumerate(order.tolist()):
        short = len(sizes) - number <= len(empty)
        chosen, size = pointed[group], sizes[group]
        if left[chosen] < size or (short and chosen not in empty):
            open_splits = sorted(empty) if short else [at for at, part in enumerate(proportions) if part]
            with_capacity = [at for at in open_splits if left[at] >= size]
            if with_capacity:
                chosen = min(with_capacity, key=lambda at: (distance[group, at], at))
            else:
                chosen = max(open_splits, key=lambda at: (left[at], -distance[group, at], -at))
        assigned[group] = chosen
        left[chosen] -= size
        empty.discard(chosen)
    return assigned


def assign_in_order(sizes: Sequence[int], capacities: Sequence[int], required: int) -> list[int]:
    """Assigns the first groups to the first split, the next ones to the second, and so on.

    Args:
        sizes: Number of images of each group, in their order.
        capacities: Number of images of each split; they add up to the sum of `sizes`.
        required: Number of splits, from the first on, none of which stays empty if there are as many groups.

    Returns:
        Index of a split for each group, in ascending order.
    """
    # A group that lies across the end of a split goes to the side of its larger half.
    middles = [before - size / 2 for before, size in zip(itertools.accumulate(sizes), sizes, strict=True)]
    starts = [bisect.bisect_left(middles, sum(capacities[:at])) for at in range(len(capacities))]
    if len(sizes) >= required:
        for at in range(1, len(starts)):
            starts[at] = max(starts[at], starts[at - 1] + (at <= required - 1 or at == required))
        for at in range(required - 1, 0, -1):
            starts[at] = min(starts[at], len(sizes) - (required - at))
    return [bisect.bisect_right(starts, group) - 1 for group in range(len(sizes))]
