"""Assignment of whole groups of any sizes and classes to parts, so that each part has its share of each class.

With groups of the user's, such as patients, a part rarely has exactly its share. How near it comes is measured by the
squared deviations, as a chi-squared statistic has them; groups move between parts while that becomes less. A group
whose move gains little stays, so that more images of old groups rarely move any.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.split_dataset.apportionment import assign_by_hash, largest_remainder

STAY = 2.0
"""What it costs to move a group from its first place, in deviation for the square of the share of the images that it
has. Larger values leave more groups where they are, and the parts less even."""

_LEAST_GAIN = 1e-9
_MISSING = 10.0
# Pairs of groups are looked through while there are so few.
_MOST_SWAPPED, _MOST_CELLS = 400, 20_000_000


@dataclasses.dataclass(frozen=True)
class Parts:
    """Parts to assign groups to.

    Attributes:
        targets: Images of each class that each part should have, (parts, classes); they add up to all.
        counted: Number of parts, from the first on, whose deviations count, and which should have some images of
            every class that has as many groups; the others take what is left.
    """

    targets: NDArray[np.float64]
    counted: int


def assign_whole_groups(
    sizes: NDArray[np.int64],
    positions: Sequence[float],
    parts: Parts,
    fixed: NDArray[np.int64] | None = None,
    stay: float = STAY,
) -> NDArray[np.int64]:
    """Assigns each group to a part.

    First each class is divided by number of groups alone, which more images of old groups do not change; then groups
    move, one or two at a time, while that brings the parts nearer to their targets by more than it costs, see `STAY`.

    Args:
        sizes: Images of each class in each group, (groups, classes).
        positions: Position of each group on a circle, in [0, 1), by which it is placed at first, (groups,).
        parts: Parts with their targets.
        fixed: Part of each group that must not move, and -1 for the others, (groups,); None: all may move.
        stay: Cost of moving a group from its first place, see `STAY`.

    Returns:
        Index of a part for each group, (groups,).
    """
    fixed = np.full(len(sizes), -1) if fixed is None else fixed
    movable = fixed < 0
    home = np.where(movable, 0, fixed)
    most = sizes.argmax(axis=1)
    for label in range(sizes.shape[1]):
        rows = np.flatnonzero(movable & (most == label))
        if len(rows):
            proportions = parts.targets[:, label].tolist()
            required = proportions.index(0) if 0 in proportions[: parts.counted] else parts.counted
            capacities = largest_remainder(len(rows), proportions, required)
            places = [positions[row] for row in rows.tolist()]
            home[rows] = assign_by_hash([1] * len(rows), places, proportions, capacities, required)
    search = _Search(sizes, home, movable, parts, stay)
    while search.step():
        pass
    return search.assigned


class _Search:
    """Search for an assignment of little cost: deviations, and moves away from home."""

    def __init__(
        self, sizes: NDArray[np.int64], home: NDArray[np.int64], movable: NDArray[np.bool_], parts: Parts, stay: float
    ) -> None:
        # Takes half a second to import, and other splits do not need it.
        from scipy.sparse import csr_array

        self.assigned = home.copy()
        self._home, self._movable = home, movable
        self._sizes = csr_array(sizes.astype(np.float64))
        self._squares = self._sizes.multiply(self._sizes).tocsr()
        self._there = csr_array((sizes > 0).astype(np.float64))
        self._of_all = sizes.sum(axis=1).astype(np.float64)
        self._stay = stay * np.square(self._of_all / max(1, sizes.sum()))
        self._open = parts.targets.sum(axis=1) > 0
        counted = np.arange(len(self._open)) < parts.counted
        self._targets = parts.targets
        totals = parts.targets.sum(axis=0)
        # Squared deviations over targets, with a mean over the classes; and the same of all images.
        weights = 1 / (np.maximum(parts.targets, 1) * np.maximum(totals, 1) * max(1, (totals > 0).sum()))
        self._weights = weights * counted[:, None] * (totals > 0)
        self._targets_of_all = parts.targets.sum(axis=1)
        self._weights_of_all = counted / (np.maximum(self._targets_of_all, 1) * max(1.0, totals.sum()))
        self._needed = ((sizes > 0).sum(axis=0) >= parts.counted) & (counted & (self._targets_of_all > 0))[:, None]
        self._needed &= parts.targets > 0
        self._numbers = np.zeros(parts.targets.shape)
        np.add.at(self._numbers, home, sizes)

    def step(self) -> bool:
        """Makes the move, or the exchange of two groups, that gains most; False if there is none."""
        gain, moves = self._best_move()
        if gain < _MISSING / 2:
            gain, moves = max([(gain, moves), *self._best_exchanges()], key=lambda each: each[0])
        if gain <= _LEAST_GAIN:
            return False
        for group, part in moves:
            size = self._sizes[[group]].toarray()[0]
            self._numbers[self.assigned[group]] -= size
            self._numbers[part] += size
            self.assigned[group] = part
        return True

    def _best_move(self) -> tuple[float, list[tuple[int, int]]]:
        now, rows = self.assigned, np.arange(len(self.assigned))
        lost = self._change(-1)[rows, now]
        cost = lost[:, None] + self._change(1)
        # A part that loses its only images of a class, and one that gets its first.
        numbers, needed = self._numbers, self._needed
        coordinates = self._there.tocoo()
        row, label = coordinates.coords
        alone = needed[now[row], label] & (numbers[now[row], label] == self._sizes.data)
        cost += _MISSING * np.bincount(row, alone, len(now))[:, None]
        cost -= _MISSING * (self._there @ ((numbers == 0) & needed).T.astype(np.float64))
        cost += self._stay[:, None] * self._away()
        cost[rows, now] = np.inf
        cost[~self._movable] = np.inf
        cost[:, ~self._open] = np.inf
        group, part = np.unravel_index(int(cost.argmin()), cost.shape)
        return -float(cost[group, part]), [(int(group), int(part))]

    def _change(self, sign: int) -> NDArray[np.float64]:
        """Change of the deviations if each group comes to each part (1), or leaves it (-1), (groups, parts)."""
        above = self._numbers - self._targets
        above_of_all = above.sum(axis=1)
        change = self._squares @ self._weights.T + 2 * sign * (self._sizes @ (above * self._weights).T)
        of_all = self._of_all[:, None] ** 2 + 2 * sign * self._of_all[:, None] * above_of_all
        return np.asarray(change + of_all * self._weights_of_all)

    def _away(self) -> NDArray[np.float64]:
        """For each group and part: 1 if the group would leave home for it, -1 if it would return, else 0."""
        elsewhere = np.arange(len(self._open)) != self._home[:, None]
        away: NDArray[np.float64] = elsewhere.astype(np.float64) - (self.assigned != self._home)[:, None]
        return away

    def _best_exchanges(self) -> list[tuple[float, list[tuple[int, int]]]]:
        """The best exchange of two groups for each pair of parts."""
        if len(self.assigned) > _MOST_SWAPPED:
            return []
        parts = np.flatnonzero(self._open).tolist()
        pairs = [(one, other) for one in parts for other in parts if one < other]
        return [found for pair in pairs if (found := self._best_exchange(*pair))]

    def _best_exchange(self, one: int, other: int) -> tuple[float, list[tuple[int, int]]] | None:
        there = np.flatnonzero(self._movable & (self.assigned == one))
        here = np.flatnonzero(self._movable & (self.assigned == other))
        cells = there.size * here.size * self._sizes.shape[1]
        if not cells or cells > _MOST_CELLS:
            return None
        # Images that come to `other` and leave `one`.
        come: NDArray[Any] = self._sizes[there].toarray()[:, None] - self._sizes[here].toarray()
        away = self._stay[:, None] * self._away()
        cost = away[there, other][:, None] + away[here, one]
        for part, change in ((one, -come), (other, come)):
            before, after = (
                self._numbers[part] - self._targets[part],
                self._numbers[part] - self._targets[part] + change,
            )
            cost += (after**2 - before**2) @ self._weights[part]
            cost += (after.sum(axis=-1) ** 2 - before.sum() ** 2) * self._weights_of_all[part]
            empty = (self._numbers[part] + change == 0) & self._needed[part]
            cost += _MISSING * (empty.sum(axis=-1) - int(((self._numbers[part] == 0) & self._needed[part]).sum()))
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        return -float(cost[row, column]), [(int(there[row]), other), (int(here[column]), one)]
