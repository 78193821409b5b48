"""Pictures that come several times: pixel for pixel, or nearly so."""

import pyarrow as pa

from headstart.components.download_dataset.lookalikes import near_duplicates
from headstart.components.download_dataset.quarantine import Quarantined
from headstart.components.download_dataset.spool import Spool


def without_repeats(facts: pa.Table, classes: list[str]) -> tuple[list[int], list[Quarantined]]:
    """Rows to keep, and what is said of the others: the second and later of a kind, and all that contradict.

    Args:
        facts: Of all pictures: see `spool.SCHEMA`.
        classes: Class names.
    """
    ids, paths, labels = (facts[name].to_pylist() for name in ("id", "path", "label"))
    first: dict[str, int] = {}
    contradicting: dict[str, int] = {}
    for row, pixels in enumerate(ids):
        if labels[first.setdefault(pixels, row)] != labels[row]:
            contradicting.setdefault(pixels, row)
    kept, repeated = [], []
    for row, pixels in enumerate(ids):
        other = first[pixels]
        if pixels in contradicting:
            other = contradicting[pixels] if labels[other] == labels[row] else other
            detail = f"same pixels as {paths[other]}, which is of class {classes[labels[other]]}"
            repeated.append(Quarantined(paths[row], "conflict", detail))
        elif row == other:
            kept.append(row)
        else:
            repeated.append(Quarantined(paths[row], "duplicate", f"same pixels as {paths[other]}"))
    return kept, repeated


def groups_of(spool: Spool, kept: list[int]) -> list[str]:
    """For each kept row its group: the smallest id among its near-duplicates, so that others rarely change it."""
    numbers = near_duplicates(spool.sketches())[kept].tolist()
    ids = spool.facts()["id"].take(kept).to_pylist()
    names: dict[int, str] = {}
    for number, pixels in zip(numbers, ids, strict=True):
        names[number] = min(names.get(number, pixels), pixels)
    return [names[number] for number in numbers]


def several(groups: list[str]) -> list[list[int]]:
    """The groups of two and more, as positions."""
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    return [rows for rows in members.values() if len(rows) > 1]
