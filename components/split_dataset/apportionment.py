"""Deals the groups of one class out to parts of given sizes, exactly where the groups allow it."""

import bisect
import itertools
import math
from collections.abc import Sequence

import numpy as np


def largest_remainder(images: int, parts: Sequence[float], required: int) -> list[int]:
    """Whole numbers that add up to `images`, in the proportions of `parts`.

    Each gets its share rounded down, and those with the largest remainders one more (Hamilton's method; of equal ones
    the earlier). One of the first `required` that would get none takes one from the largest.

    Args:
        images: Number of images to deal out.
        parts: Proportions, at least one of them above 0.
        required: Number of parts, from the first on, that must not be empty; no more than there are images, or else
            some stay empty.
    """
    shares = [images * part / sum(parts) for part in parts]
    # Products such as 20 * 0.15 / 1.0 may fall short of a whole number by their rounding.
    sizes = [math.floor(share + 1e-9) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda at: round(sizes[at] - shares[at], 9))
    for at in by_remainder[: images - sum(sizes)]:
        sizes[at] += 1
    for at in range(required):
        largest = max(range(len(sizes)), key=lambda other: sizes[other])
        if not sizes[at] and sizes[largest] > 1:
            sizes[at] += 1
            sizes[largest] -= 1
    return sizes


def dealt_by_hash(
    sizes: Sequence[int], positions: Sequence[float], parts: Sequence[float], rooms: Sequence[int], required: int
) -> list[int]:
    """The part of each group: the one that its hash points to, with as few exceptions as the rooms allow.

    The parts are arcs of a circle, as long as their proportions, and each group has a place on it. Larger groups
    choose first, and of equal ones those that lie deepest inside their arc: where a part is full, the groups near its
    ends go to the nearest part with room. So a part that is too large by hash gives away its surplus and no image
    more.

    Args:
        sizes: Number of images of each group.
        positions: Place of each group on the circle, in [0, 1).
        parts: Proportions of the parts.
        rooms: Number of images that each part is to get; they add up to the sum of `sizes`.
        required: Number of parts, from the first on, none of which stays empty if there are as many groups.

    Returns:
        Index of a part for each group.
    """
    ends = np.cumsum([0.0, *parts]) / sum(parts)
    place = np.asarray(positions, np.float64)[:, None]
    around = np.abs(place - ends)
    to_end = np.minimum(around, 1 - around)
    far = np.minimum(to_end[:, :-1], to_end[:, 1:])
    # Within an arc, the deeper the farther below 0.
    far = np.where((ends[:-1] <= place) & (place < ends[1:]), -far, far)
    far[:, np.asarray(parts) == 0] = np.inf
    depth = far.min(axis=1)
    order = np.lexsort((np.arange(len(sizes)), depth, -np.asarray(sizes)))

    pointed = far.argmin(axis=1).tolist()
    left = list(rooms)
    dealt = [0] * len(sizes)
    empty = set(range(required))
    for number, group in enumerate(order.tolist()):
        short = len(sizes) - number <= len(empty)
        chosen, size = pointed[group], sizes[group]
        if left[chosen] < size or (short and chosen not in empty):
            open_parts = sorted(empty) if short else [at for at, part in enumerate(parts) if part]
            with_room = [at for at in open_parts if left[at] >= size]
            if with_room:
                chosen = min(with_room, key=lambda at: (far[group, at], at))
            else:
                chosen = max(open_parts, key=lambda at: (left[at], -far[group, at], -at))
        dealt[group] = chosen
        left[chosen] -= size
        empty.discard(chosen)
    return dealt


def dealt_in_order(sizes: Sequence[int], rooms: Sequence[int], required: int) -> list[int]:
    """The part of each group: the first groups go to the first part, the next to the second, and so on.

    Args:
        sizes: Number of images of each group, in their order.
        rooms: Number of images that each part is to get; they add up to the sum of `sizes`.
        required: Number of parts, from the first on, none of which stays empty if there are as many groups.

    Returns:
        Index of a part for each group, never falling.
    """
    # A group that lies across the end of a part goes where its larger half is.
    middles = [before - size / 2 for before, size in zip(itertools.accumulate(sizes), sizes, strict=True)]
    starts = [bisect.bisect_left(middles, sum(rooms[:at])) for at in range(len(rooms))]
    if len(sizes) >= required:
        for at in range(1, len(starts)):
            starts[at] = max(starts[at], starts[at - 1] + (at <= required - 1 or at == required))
        for at in range(required - 1, 0, -1):
            starts[at] = min(starts[at], len(sizes) - (required - at))
    return [bisect.bisect_right(starts, group) - 1 for group in range(len(sizes))]
