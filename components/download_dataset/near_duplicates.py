"""Near-duplicates: images that were resized, compressed again or mirrored, found without comparing all pairs.

An image's perceptual hash is the signs of its lowest spatial frequencies (C. Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010; ImageHash calls it phash). Hashes that differ in few bits agree in a
quarter of them up to one bit, so sorting by each quarter makes them neighbours. Pairs found so are confirmed by
comparing their sketches.
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
"""Largest number of different bits in hashes of near-duplicates; up to 7 are found for certain, more by chance."""

MIN_CORRELATION = 0.9
"""Least correlation between the details of near-duplicates: a sketch less its means over blocks of 4 x 4.

Images of one kind have coarse features in common, such as a pose or a studio, but no details. Of 4,000 photographs of
cats and dogs no two different ones correlate above 0.79; of copies at 30 % of the size, or as JPEG of quality 10,
99.8 % correlate above 0.93.
"""

MIN_DETAIL = 1.0
"""Least standard deviation of a sketch's details, in gray levels; flatter sketches all look alike."""

_HASH_SIDE = 8
_BAND_BITS = 16
_WINDOW = 32
_BLOCK = 4
_BATCH = 512
_QUERIES_AT_ONCE = 2**14


def compute_sketch(gray: Image.Image) -> bytes:
    """Gray levels of an image squeezed to 32 x 32 pixels, row by row: 1,024 bytes.

    Args:
        gray: The image in gray levels, mode L.
    """
    return gray.resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BOX).tobytes()


SketchReader = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""Reads sketches of images by their rows, uint8 (rows, 1024); `__getitem__` of an array is one."""


@dataclasses.dataclass(frozen=True)
class Hashes:
    """Perceptual hashes of images.

    Attributes:
        own: Hashes of the images, uint64 (images,).
        mirrored: Hashes of their mirror images, uint64 (images,).
        flat: True for images that are too flat for a hash, bool (images,).
    """

    own: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]
    flat: NDArray[np.bool_]


def compute_hashes(sketches: NDArray[np.uint8]) -> Hashes:
    """Computes perceptual hashes; in whole numbers, so that they are the same on every machine.

    Args:
        sketches: Sketches of images, uint8 (images, 1024).
    """
    levels = sketches.astype(np.float64)
    # Along the rows, then down the columns.
    across = levels.reshape(-1, SKETCH_SIDE) @ _products()
    across = across.reshape(-1, SKETCH_SIDE, 2 * _HASH_SIDE).swapaxes(1, 2)
    both = (across.reshape(-1, SKETCH_SIDE) @ _products()).reshape(-1, 2 * _HASH_SIDE, 2 * _HASH_SIDE).swapaxes(1, 2)
    waves, sums = both[:, :_HASH_SIDE, :_HASH_SIDE], both[:, _HASH_SIDE:, _HASH_SIDE:]
    # Sum of squares less that of the block means: the variance of the details.
    details = np.einsum("ij,ij->i", levels, levels) - np.einsum("ijk,ijk->i", sums, sums) / _BLOCK**2
    # Mirroring flips the sign of the odd horizontal frequencies.
    mirror = np.where(np.arange(1, _HASH_SIDE + 1) % 2, -1.0, 1.0)
    return Hashes(_signs(waves), _signs(waves * mirror), details < MIN_DETAIL**2 * SKETCH_BYTES)


def find_near_duplicates(hashes: Hashes, sketches: SketchReader) -> NDArray[np.int64]:
    """Groups images that are near-duplicates, directly or through others.

    Time grows as n log n: each image is compared with the few that share a quarter of its hash up to one bit, and
    with at most `_WINDOW` of them where many do. Memory is a few numbers per image; sketches are read when they are
    compared.

    Args:
        hashes: Hashes of all images.
        sketches: Reads their sketches.

    Returns:
        Number of the group of each image, int64 (images,).
    """
    numbers = np.arange(len(hashes.own))
    for queries in (hashes.own, hashes.mirrored):
        for pairs in _find_candidates(hashes.own, queries, ~hashes.flat):
            # Where many are alike, nearly all pairs are joined through others already.
            apart = pairs[numbers[pairs[:, 0]] != numbers[pairs[:, 1]]]
            alike = apart[_confirm(sketches, apart, mirror=queries is hashes.mirrored)]
            if len(alike):
                numbers = _join_pairs(numbers, alike)
    return numbers


def _join_pairs(numbers: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group numbers after joining the groups of each pair."""
    # Takes half a second to import, and worker processes do not need it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = numbers[pairs].T
    links = coo_array((np.ones(len(pairs), bool), (one, other)), shape=(len(numbers), len(numbers)))
    renumbered: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)[numbers]
    return renumbered


@lru_cache
def _products() -> NDArray[np.float64]:
    """Factors of a sketch's row for its cosine waves and for the sums of its blocks, (32, 16).

    All are whole numbers, and no sum of products reaches 2 ** 53, so that no sign depends on the order of summation.
    """
    frequencies, positions = np.arange(1, _HASH_SIDE + 1), np.arange(SKETCH_SIDE)
    cosines = np.cos(np.pi * frequencies[:, None] * (2 * positions + 1) / (2 * SKETCH_SIDE))
    blocks = np.kron(np.eye(SKETCH_SIDE // _BLOCK), np.ones(_BLOCK))
    return np.concatenate([np.rint(2**12 * cosines), blocks]).T


def _signs(waves: NDArray[np.floating]) -> NDArray[np.uint64]:
    """One bit for the sign of each wave, uint64 (images,), from waves (images, 8, 8)."""
    return np.packbits(waves > 0).view(">u8").astype(np.uint64)


def _find_candidates(
    hashes: NDArray[np.uint64], queries: NDArray[np.uint64], usable: NDArray[np.bool_]
) -> Iterator[NDArray[np.int64]]:
    """Yields pairs of usable images whose hash and query differ in at most `MAX_BITS`; pairs may repeat."""
    rows = np.flatnonzero(usable)
    tail = np.uint64(64 - _BAND_BITS)
    for band in range(64 // _BAND_BITS):
        turned, asked = (_rotated(each[rows], band * _BAND_BITS) for each in (hashes, queries))
        order = np.argsort(turned)
        turned, rows_by_hash = turned[order], rows[order]
        starts = np.searchsorted(turned >> tail, np.arange(2**_BAND_BITS + 1, dtype=np.uint64))
        flips = [np.uint64(1) << np.uint64(bit) for bit in range(64 - _BAND_BITS, 64)]
        # Nearest pairs first: where many are alike, these join most of the groups, and save the later comparisons.
        for flipped, window in [(np.uint64(0), 2), *((flip, _WINDOW) for flip in (np.uint64(0), *flips))]:
            for part in range(0, len(rows), _QUERIES_AT_ONCE):
                query, place = _pair_probes(turned, starts, asked[part : part + _QUERIES_AT_ONCE] ^ flipped, window)
                query += part
                close = np.bitwise_count(asked[query] ^ turned[place]) <= MAX_BITS
                one, other = rows[query[close]], rows_by_hash[place[close]]
                yield np.stack([one, other], axis=1)[one != other]


def _pair_probes(
    turned: NDArray[np.uint64], starts: NDArray[np.int64], probes: NDArray[np.uint64], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs each probe with the sorted hashes that have the same first bits: the nearest ones, if there are many.

    Args:
        turned: Hashes, ascending.
        starts: First position of the hashes of each beginning.
        probes: Hashes to look up.
        window: Largest number of pairs per probe.

    Returns:
        Indices of probes, and positions in the sorted hashes.
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


def _confirm(sketches: SketchReader, pairs: NDArray[np.int64], mirror: bool) -> NDArray[np.bool_]:
    """Whether the details of each pair correlate as those of near-duplicates do."""
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
    """Details of sketches, float32 (n, 32, 32): each block of 4 x 4 less its mean."""
    blocks = SKETCH_SIDE // _BLOCK
    tiles: NDArray[np.float32] = sketches.reshape(-1, blocks, _BLOCK, blocks, _BLOCK).astype(np.float32)
    tiles -= tiles.mean(axis=(2, 4), keepdims=True)
    return tiles.reshape(-1, SKETCH_SIDE, SKETCH_SIDE)
