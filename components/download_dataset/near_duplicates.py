"""Near-duplicates: pictures that were resized, recompressed or mirrored, found without comparing all pairs.

A picture's perceptual hash is the signs of its lowest spatial frequencies (C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010; ImageHash calls it phash). Hashes that differ in few bits
agree in a quarter of them up to one bit, so sorting by each quarter brings them together; what meets there is
confirmed on the sketches themselves.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SKETCH_SIDE = 32
SKETCH_BYTES = SKETCH_SIDE * SKETCH_SIDE

MAX_BITS = 12
"""Bits in which the hashes of near-duplicates may differ; up to 7 are found for certain, more by chance."""

MIN_CORRELATION = 0.9
"""Least correlation between the details of near-duplicates: what is left of a sketch without its means over 4 x 4.

What pictures of one kind have in common, a pose or a studio, is coarse; what they do not share is detail. Of 4,000
photographs of cats and dogs no two different ones come above 0.79; of copies at 30 % of the size, or as JPEG of
quality 10, 99.8 % come above 0.93.
"""

MIN_DETAIL = 1.0
"""Least standard deviation of a sketch's details, in gray levels; a flatter one looks like every other flat one."""

_HASH_SIDE = 8
_BAND_BITS = 16
_WINDOW = 32
_BLOCK = 4
_BATCH = 512
_QUERIES_AT_ONCE = 2**14


def sketch(gray: Image.Image) -> bytes:
    """A picture's gray levels on a grid of 32 x 32, squeezed to a square, row by row: 1,024 bytes."""
    return gray.resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BOX).tobytes()


Sketches = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""Gives the sketches of some pictures, uint8 (rows, 1024); an array's `__getitem__` will do."""


@dataclasses.dataclass(frozen=True)
class Hashes:
    """Perceptual hashes of pictures.

    Attributes:
        own: Of the pictures as they are, uint64 (pictures,).
        mirrored: Of their mirror images, likewise.
        flat: Which pictures are too flat to have one, bool (pictures,).
    """

    own: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]
    flat: NDArray[np.bool_]


def hashes_of(sketches: NDArray[np.uint8]) -> Hashes:
    """The hashes of sketches, uint8 (pictures, 1024); a matter of whole numbers, the same on every machine."""
    levels = sketches.astype(np.float64)
    # Along the rows, then down the columns.
    across = levels.reshape(-1, SKETCH_SIDE) @ _products()
    across = across.reshape(-1, SKETCH_SIDE, 2 * _HASH_SIDE).swapaxes(1, 2)
    both = (across.reshape(-1, SKETCH_SIDE) @ _products()).reshape(-1, 2 * _HASH_SIDE, 2 * _HASH_SIDE).swapaxes(1, 2)
    waves, sums = both[:, :_HASH_SIDE, :_HASH_SIDE], both[:, _HASH_SIDE:, _HASH_SIDE:]
    # What is left of the squares without the blocks' means: the details' variance.
    details = np.einsum("ij,ij->i", levels, levels) - np.einsum("ijk,ijk->i", sums, sums) / _BLOCK**2
    # Mirroring turns the sign of the odd horizontal frequencies.
    mirror = np.where(np.arange(1, _HASH_SIDE + 1) % 2, -1.0, 1.0)
    return Hashes(_signs(waves), _signs(waves * mirror), details < MIN_DETAIL**2 * SKETCH_BYTES)


def find_near_duplicates(hashes: Hashes, sketches: Sketches) -> NDArray[np.int64]:
    """Groups pictures that are near-duplicates, directly or by way of others: a group's number for each picture.

    Time grows as n log n: each picture meets the few that share a quarter of its hash up to one bit, and at most
    `_WINDOW` of them where many do. Memory is a few numbers a picture; sketches are read when they are compared.

    Args:
        hashes: Of all pictures.
        sketches: Of any of them.

    Returns:
        int64 (pictures,).
    """
    numbers = np.arange(len(hashes.own))
    for queries in (hashes.own, hashes.mirrored):
        for pairs in _candidates(hashes.own, queries, ~hashes.flat):
            # Where many are alike, nearly all pairs are joined by way of others already.
            apart = pairs[numbers[pairs[:, 0]] != numbers[pairs[:, 1]]]
            alike = apart[_confirmed(sketches, apart, mirror=queries is hashes.mirrored)]
            if len(alike):
                numbers = _joined(numbers, alike)
    return numbers


def _joined(numbers: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group numbers after the groups of each pair have become one."""
    # Half a second to import, and a process that checks pictures has no use for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = numbers[pairs].T
    links = coo_array((np.ones(len(pairs), bool), (one, other)), shape=(len(numbers), len(numbers)))
    renumbered: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)[numbers]
    return renumbered


@lru_cache
def _products() -> NDArray[np.float64]:
    """What a row of a sketch is multiplied by: for its waves, and for the sums of its blocks; (32, 16).

    All are whole numbers, and no sum of products reaches 2 ** 53: no sign hangs on the order of summation.
    """
    frequencies, positions = np.arange(1, _HASH_SIDE + 1), np.arange(SKETCH_SIDE)
    cosines = np.cos(np.pi * frequencies[:, None] * (2 * positions + 1) / (2 * SKETCH_SIDE))
    blocks = np.kron(np.eye(SKETCH_SIDE // _BLOCK), np.ones(_BLOCK))
    return np.concatenate([np.rint(2**12 * cosines), blocks]).T


def _signs(waves: NDArray[np.floating]) -> NDArray[np.uint64]:
    """A bit for each wave, uint64 (pictures,), of waves (pictures, 8, 8)."""
    return np.packbits(waves > 0).view(">u8").astype(np.uint64)


def _candidates(
    hashes: NDArray[np.uint64], queries: NDArray[np.uint64], usable: NDArray[np.bool_]
) -> Iterator[NDArray[np.int64]]:
    """Pairs of usable pictures whose hash and query differ in at most `MAX_BITS`; some come several times."""
    rows = np.flatnonzero(usable)
    tail = np.uint64(64 - _BAND_BITS)
    for band in range(64 // _BAND_BITS):
        turned, asked = (_rotated(each[rows], band * _BAND_BITS) for each in (hashes, queries))
        order = np.argsort(turned)
        turned, rows_by_hash = turned[order], rows[order]
        starts = np.searchsorted(turned >> tail, np.arange(2**_BAND_BITS + 1, dtype=np.uint64))
        flips = [np.uint64(1) << np.uint64(bit) for bit in range(64 - _BAND_BITS, 64)]
        # The nearest first: where many are alike, they join most of what the others would be compared for.
        for flipped, window in [(np.uint64(0), 2), *((flip, _WINDOW) for flip in (np.uint64(0), *flips))]:
            for part in range(0, len(rows), _QUERIES_AT_ONCE):
                query, place = _meetings(turned, starts, asked[part : part + _QUERIES_AT_ONCE] ^ flipped, window)
                query += part
                close = np.bitwise_count(asked[query] ^ turned[place]) <= MAX_BITS
                one, other = rows[query[close]], rows_by_hash[place[close]]
                yield np.stack([one, other], axis=1)[one != other]


def _meetings(
    turned: NDArray[np.uint64], starts: NDArray[np.int64], probes: NDArray[np.uint64], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each probe with the places, in the sorted hashes, of those that begin as it does: the nearest, if many do.

    Args:
        turned: Hashes, ascending.
        starts: Where those of each beginning start.
        probes: Hashes.
        window: How many to meet at most.
    """
    beginnings = (probes >> np.uint64(64 - _BAND_BITS)).astype(np.int64)
    low, high = starts[beginnings], starts[beginnings + 1]
    many = np.flatnonzero(high - low > window)
    middle = np.searchsorted(turned, probes[many])
    low[many] = np.maximum(low[many], middle - window // 2)
    high[many] = np.minimum(high[many], middle + window // 2)
    lengths = high - low
    query = np.repeat(np.arange(len(probes)), lengths)
    return query, np.arange(len(query)) - np.repeat(np.cumsum(lengths) - lengths - low, lengths)


def _rotated(values: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    return values if not bits else (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _confirmed(sketches: Sketches, pairs: NDArray[np.int64], mirror: bool) -> NDArray[np.bool_]:
    """Which pairs' details correlate as those of near-duplicates do."""
    sure = np.empty(len(pairs), bool)
    for start in range(0, len(pairs), _BATCH):
        part = slice(start, start + _BATCH)
        one, other = (_details(sketches(pairs[part, side])) for side in (0, 1))
        if mirror:
            other = other[:, :, ::-1]
        product = np.einsum("ijk,ijk->i", one, other)
        sure[part] = product >= MIN_CORRELATION * np.sqrt(_squares(one) * _squares(other))
    return sure


def _squares(details: NDArray[np.float32]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = np.einsum("ijk,ijk->i", details, details)
    return squares


def _details(sketches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Sketches, float32 (n, 32, 32), each block of 4 x 4 less its mean."""
    blocks = SKETCH_SIDE // _BLOCK
    tiles: NDArray[np.float32] = sketches.reshape(-1, blocks, _BLOCK, blocks, _BLOCK).astype(np.float32)
    tiles -= tiles.mean(axis=(2, 4), keepdims=True)
    return tiles.reshape(-1, SKETCH_SIDE, SKETCH_SIDE)
