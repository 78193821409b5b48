"""Duplicates: images with the same pixels, which are dropped, and groups of near-duplicates."""

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.download_dataset.near_duplicates import Hashes, find_near_duplicates
from headstart.components.download_dataset.spool import Spool


def drop_exact_duplicates(spool: Spool, classes: list[str]) -> tuple[NDArray[np.int64], list[QuarantinedFile]]:
    """Keeps one of the images with the same pixels, and none where they have different classes.

    The first is kept, of those in the ready-made split that is used last.

    Args:
        spool: All images.
        classes: Class names.

    Returns:
        Rows to keep, int64 (kept,), ascending; and the files that are left out.
    """
    rows = _find_repeated(spool)
    properties = spool.properties(["id", "path", "label", "split"], rows)
    ids, paths, labels, splits = (column.to_pylist() for column in properties.columns)
    use = ("", *SPLITS).index
    best: dict[bytes, int] = {}
    contradicting: dict[bytes, int] = {}
    for place, pixels in enumerate(ids):
        other = best.setdefault(pixels, place)
        if labels[other] != labels[place]:
            contradicting.setdefault(pixels, place)
        elif use(splits[place]) > use(splits[other]):
            best[pixels] = place
    dropped, quarantined = [], []
    for place, pixels in enumerate(ids):
        other = best[pixels]
        if pixels in contradicting:
            other = contradicting[pixels] if labels[other] == labels[place] else other
            detail = f"same pixels as {paths[other]}, which is of class {classes[labels[other]]}"
            quarantined.append(QuarantinedFile(paths[place], "conflict", detail))
        elif place == other:
            continue
        elif splits[place] and splits[place] != splits[other]:
            detail = f"same pixels as {paths[other]}, which is for {splits[other]}"
            quarantined.append(QuarantinedFile(paths[place], "leak", detail))
        else:
            quarantined.append(QuarantinedFile(paths[place], "duplicate", f"same pixels as {paths[other]}"))
        dropped.append(place)
    return np.delete(np.arange(len(spool)), rows[dropped]), quarantined


def find_group_leaders(spool: Spool, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Finds near-duplicates; returns for each kept image the one that its group is named after.

    The leader is the one with the smallest id of its group, so that new images rarely change it.

    Args:
        spool: All images.
        kept: Rows of kept images, int64 (kept,).

    Returns:
        Positions in `kept`, int64 (kept,).
    """
    own, mirrored, flat = (column.to_numpy() for column in spool.properties(["hash", "mirrored", "flat"]).columns)
    numbers = find_near_duplicates(Hashes(own, mirrored, flat), spool.sketches)[kept]
    high, low = _read_ids(spool)
    by_id = np.lexsort((low[kept], high[kept]))
    leaders = np.empty(len(spool), np.int64)
    # Written in descending order of ids: of each group the last one written stays.
    leaders[numbers[by_id[::-1]]] = by_id[::-1]
    return leaders[numbers]


def list_groups(leaders: NDArray[np.int64]) -> list[list[int]]:
    """Groups of two and more images, as lists of positions.

    Args:
        leaders: Result of `find_group_leaders`.
    """
    sizes = np.bincount(leaders, minlength=len(leaders))
    members: dict[int, list[int]] = {}
    for position in np.flatnonzero(sizes[leaders] > 1).tolist():
        members.setdefault(int(leaders[position]), []).append(position)
    return list(members.values())


def _find_repeated(spool: Spool) -> NDArray[np.int64]:
    """Rows whose id occurs more than once, ascending."""
    high, low = _read_ids(spool)
    order = np.lexsort((low, high))
    same = (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
    return np.unique(np.concatenate([order[1:][same], order[:-1][same]]))


def _read_ids(spool: Spool) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Upper and lower halves of all ids, uint64 (images,) each."""
    column = spool.properties(["id"])["id"].combine_chunks()
    both = np.frombuffer(column.buffers()[1], ">u8").reshape(-1, 2) if len(column) else np.empty((0, 2), ">u8")
    return both[:, 0].astype(np.uint64), both[:, 1].astype(np.uint64)
