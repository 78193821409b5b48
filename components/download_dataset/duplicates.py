"""Pictures that come several times: pixel for pixel, or nearly so."""

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.download_dataset.near_duplicates import Hashes, find_near_duplicates
from headstart.components.download_dataset.spool import Spool


def without_repeats(spool: Spool, classes: list[str]) -> tuple[NDArray[np.int64], list[QuarantinedFile]]:
    """Rows to keep, and what is said of the others: all but one of a kind, and all that contradict.

    Of a kind the first is kept, among those in the ready-made split that is used last.

    Args:
        spool: All pictures.
        classes: Class names.

    Returns:
        int64 (kept,), ascending; and the files that are left out.
    """
    rows = _repeated(spool)
    facts = spool.facts(["id", "path", "label", "split"], rows)
    ids, paths, labels, splits = (column.to_pylist() for column in facts.columns)
    use = ("", *SPLITS).index
    best: dict[bytes, int] = {}
    contradicting: dict[bytes, int] = {}
    for place, pixels in enumerate(ids):
        other = best.setdefault(pixels, place)
        if labels[other] != labels[place]:
            contradicting.setdefault(pixels, place)
        elif use(splits[place]) > use(splits[other]):
            best[pixels] = place
    dropped, repeated = [], []
    for place, pixels in enumerate(ids):
        other = best[pixels]
        if pixels in contradicting:
            other = contradicting[pixels] if labels[other] == labels[place] else other
            detail = f"same pixels as {paths[other]}, which is of class {classes[labels[other]]}"
            repeated.append(QuarantinedFile(paths[place], "conflict", detail))
        elif place == other:
            continue
        elif splits[place] and splits[place] != splits[other]:
            detail = f"same pixels as {paths[other]}, which is for {splits[other]}"
            repeated.append(QuarantinedFile(paths[place], "leak", detail))
        else:
            repeated.append(QuarantinedFile(paths[place], "duplicate", f"same pixels as {paths[other]}"))
        dropped.append(place)
    return np.delete(np.arange(len(spool)), rows[dropped]), repeated


def leaders_of(spool: Spool, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each kept picture the one that its group is named after.

    That is the one with the smallest id among its near-duplicates, so that others rarely change it.

    Args:
        spool: All pictures.
        kept: Rows, int64 (kept,).

    Returns:
        int64 (kept,), positions in `kept`.
    """
    own, mirrored, flat = (column.to_numpy() for column in spool.facts(["hash", "mirrored", "flat"]).columns)
    numbers = find_near_duplicates(Hashes(own, mirrored, flat), spool.sketches)[kept]
    high, low = _ids(spool)
    by_id = np.lexsort((low[kept], high[kept]))
    leaders = np.empty(len(spool), np.int64)
    # The last to be written is the one that stays.
    leaders[numbers[by_id[::-1]]] = by_id[::-1]
    return leaders[numbers]


def several(leaders: NDArray[np.int64]) -> list[list[int]]:
    """The groups of two and more, as positions."""
    sizes = np.bincount(leaders, minlength=len(leaders))
    members: dict[int, list[int]] = {}
    for position in np.flatnonzero(sizes[leaders] > 1).tolist():
        members.setdefault(int(leaders[position]), []).append(position)
    return list(members.values())


def _repeated(spool: Spool) -> NDArray[np.int64]:
    """Rows whose id comes more than once, ascending."""
    high, low = _ids(spool)
    order = np.lexsort((low, high))
    same = (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
    return np.unique(np.concatenate([order[1:][same], order[:-1][same]]))


def _ids(spool: Spool) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The ids' upper and lower halves, uint64 (pictures,)."""
    column = spool.facts(["id"])["id"].combine_chunks()
    both = np.frombuffer(column.buffers()[1], ">u8").reshape(-1, 2) if len(column) else np.empty((0, 2), ">u8")
    return both[:, 0].astype(np.uint64), both[:, 1].astype(np.uint64)
