"""Duplicates: images with the same pixels, which are dropped, and groups of near-duplicates and of the user's."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import SPLITS, hash_user_group
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.core.util.natural_sort import natural_key
from headstart.components.download_dataset.check_results import hex_ids
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


@dataclasses.dataclass(frozen=True)
class ImageGroups:
    """Groups of the kept images, which no split divides.

    Attributes:
        leaders: For each image the one that its near-duplicates are named after, the one with the smallest id, so
            that new images rarely change it; positions among the kept images, int64 (kept,).
        near_duplicates: Name of each image's near-duplicates, text (kept,): the id of their leader.
        names: Name of each image's group, text (kept,): that of its near-duplicates, unless the user names one of
            them.
        user_groups: Group that the user names for each image, text (kept,); empty: none.
        joined: Groups of the user's that near-duplicates join, each list one group now.
    """

    leaders: NDArray[np.int64]
    near_duplicates: pa.Array
    names: pa.Array
    user_groups: pa.Array
    joined: list[list[str]]


def group_images(spool: Spool, kept: NDArray[np.int64], named: bool) -> ImageGroups:
    """Finds near-duplicates, and joins them with the groups that the user names.

    An image that is a near-duplicate of images of two such groups makes them one, and so does one that is dropped as
    a copy. A joined group has the smallest of the names that its members' groups have by `hash_user_group`.

    Args:
        spool: All images.
        kept: Rows of kept images, int64 (kept,).
        named: Whether the user names groups.
    """
    own, mirrored, flat = (column.to_numpy() for column in spool.properties(["hash", "mirrored", "flat"]).columns)
    numbers = find_near_duplicates(Hashes(own, mirrored, flat), spool.sketches)
    high, low = _read_ids(spool)
    by_id = np.lexsort((low[kept], high[kept]))
    leader_of = np.empty(len(spool), np.int64)
    # Written in descending order of ids: of each group the last one written stays.
    leader_of[numbers[kept][by_id[::-1]]] = by_id[::-1]
    leaders = leader_of[numbers[kept]]
    ids = spool.properties(["id"], kept)["id"].combine_chunks()
    near_duplicates = hex_ids(ids.take(leaders))
    if not named:
        return ImageGroups(leaders, near_duplicates, near_duplicates, pa.array([""] * len(kept), pa.string()), [])
    encoded = spool.properties(["group"])["group"].combine_chunks().dictionary_encode()
    values, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    parts = _join(numbers, places, [place for place, value in enumerate(values) if value])
    members: dict[int, set[str]] = defaultdict(set)
    for part, place in np.unique(np.stack([parts, places]), axis=1).T.tolist():
        if values[place]:
            members[part].add(values[place])
    name_of = {part: min(map(hash_user_group, each)) for part, each in members.items()}
    names = [
        name_of.get(part, name) for part, name in zip(parts[kept].tolist(), near_duplicates.to_pylist(), strict=True)
    ]
    return ImageGroups(
        leaders,
        near_duplicates,
        pa.array(names, pa.string()),
        pa.array([values[place] for place in places[kept].tolist()], pa.string()),
        [sorted(each, key=natural_key) for each in members.values() if len(each) > 1],
    )


def _join(numbers: NDArray[np.int64], places: NDArray[np.int64], named: Sequence[int]) -> NDArray[np.int64]:
    """Number of the connected component of each image that near-duplicates and groups of the user's make.

    Args:
        numbers: Number of each image's near-duplicates, (images,).
        places: Number of each image's group of the user's, (images,).
        named: Numbers of those that are groups; the others join nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = np.isin(places, named)
    below = int(numbers.max(initial=-1)) + 1
    nodes = below + int(places.max(initial=-1)) + 1
    links = (np.ones(int(joined.sum()), bool), (numbers[joined], below + places[joined]))
    parts: NDArray[np.int64] = connected_components(coo_array(links, shape=(nodes, nodes)), directed=False)[1]
    return parts[numbers]


def list_groups(leaders: NDArray[np.int64]) -> list[list[int]]:
    """Groups of two and more images, as lists of positions.

    Args:
        leaders: Leaders of `ImageGroups`.
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
