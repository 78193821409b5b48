"""Near-duplicates: pictures that were resized, recompressed or mirrored, found without comparing all pairs.

A picture's perceptual hash is the signs of its lowest spatial frequencies (C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010; ImageHash calls it phash). Hashes that differ in few bits
agree in a quarter of them up to one bit, so sorting by each quarter brings them together; what meets there is
confirmed on the sketches themselves.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
_BATCH = 4096


def sketch(small: Image.Image) -> bytes:
    """A picture's gray levels on a grid of 32 x 32, squeezed to a square, row by row: 1,024 bytes."""
    return small.convert("L").resize((SKETCH_SIDE, SKETCH_SIDE), Image.Resampling.BOX).tobytes()


def near_duplicates(sketches: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Groups pictures that are near-duplicates, directly or by way of others: a group's number for each picture.

    Time grows as n log n: each picture meets the few that share a quarter of its hash up to one bit, and at most
    `_WINDOW` of them where many do.

    Args:
        sketches: uint8 (pictures, 1024), in memory or mapped from a file.

    Returns:
        int64 (pictures,).
    """
    hashes, mirrored, flat = _hashes(sketches)
    numbers = np.arange(len(sketches))
    for queries in (hashes, mirrored):
        for pairs in _candidates(hashes, queries, ~flat):
            # Where many are alike, nearly all pairs are joined by way of others already.
            apart = pairs[numbers[pairs[:, 0]] != numbers[pairs[:, 1]]]
            alike = apart[_confirmed(sketches, apart, mirror=queries is mirrored)]
            if len(alike):
                numbers = _joined(numbers, alike)
    return numbers


def _joined(numbers: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group numbers after the groups of each pair have become one."""
    one, other = numbers[pairs].T
    links = coo_array((np.ones(len(pairs), bool), (one, other)), shape=(len(numbers), len(numbers)))
    renumbered: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)[numbers]
    return renumbered


def _hashes(sketches: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """Hashes as they are and mirrored, uint64 (pictures,), and which sketches are too flat to have one."""
    frequencies, positions = np.arange(1, _HASH_SIDE + 1), np.arange(SKETCH_SIDE)
    basis = np.cos(np.pi * frequencies[:, None] * (2 * positions + 1) / (2 * SKETCH_SIDE)).astype(np.float32)
    # Mirroring turns the sign of the odd horizontal frequencies.
    mirror = np.where(frequencies % 2, -1, 1).astype(np.float32)
    own = np.empty(len(sketches), np.uint64)
    mirrored = np.empty(len(sketches), np.uint64)
    flat = np.empty(len(sketches), bool)
    for start in range(0, len(sketches), _BATCH):
        part = slice(start, start + _BATCH)
        waves = basis @ sketches[part].reshape(-1, SKETCH_SIDE, SKETCH_SIDE).astype(np.float32) @ basis.T
        own[part], mirrored[part] = _signs(waves), _signs(waves * mirror)
        flat[part] = _details(sketches[part]).std(axis=(1, 2)) < MIN_DETAIL
    return own, mirrored, flat


def _signs(waves: NDArray[np.floating]) -> NDArray[np.uint64]:
    return np.packbits((waves > 0).reshape(len(waves), -1), axis=1).view(">u8").ravel().astype(np.uint64)


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
        flips = [np.uint64(1) << np.uint64(bit) for bit in range(64 - _BAND_BITS, 64)]
        # The nearest first: where many are alike, they join most of what the others would be compared for.
        for flipped, window in [(np.uint64(0), 2), *((flip, _WINDOW) for flip in (np.uint64(0), *flips))]:
            probes = asked ^ flipped
            lowest = (probes >> tail) << tail
            highest = lowest | ((np.uint64(1) << tail) - np.uint64(1))
            middle = np.searchsorted(turned, probes)
            low = np.maximum(np.searchsorted(turned, lowest), middle - window // 2)
            high = np.minimum(np.searchsorted(turned, highest, side="right"), middle + window // 2)
            lengths = np.maximum(high - low, 0)
            query = np.repeat(np.arange(len(rows)), lengths)
            place = np.arange(len(query)) - np.repeat(np.cumsum(lengths) - lengths - low, lengths)
            one, other = rows[query], rows_by_hash[place]
            close = (one != other) & (np.bitwise_count(asked[query] ^ turned[place]) <= MAX_BITS)
            yield np.stack([one[close], other[close]], axis=1)


def _rotated(values: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    return values if not bits else (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _confirmed(sketches: NDArray[np.uint8], pairs: NDArray[np.int64], mirror: bool) -> NDArray[np.bool_]:
    """Which pairs' details correlate as those of near-duplicates do."""
    sure = np.empty(len(pairs), bool)
    for start in range(0, len(pairs), _BATCH):
        part = slice(start, start + _BATCH)
        one, other = (_details(sketches[pairs[part, side]]) for side in (0, 1))
        if mirror:
            other = other[:, :, ::-1]
        product, own, others = ((a * b).sum(axis=(1, 2)) for a, b in ((one, other), (one, one), (other, other)))
        sure[part] = product >= MIN_CORRELATION * np.sqrt(own * others)
    return sure


def _details(sketches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Sketches, float32 (n, 32, 32), each block of 4 x 4 less its mean."""
    blocks = SKETCH_SIDE // _BLOCK
    tiles: NDArray[np.float32] = sketches.reshape(-1, blocks, _BLOCK, blocks, _BLOCK).astype(np.float32)
    tiles -= tiles.mean(axis=(2, 4), keepdims=True)
    return tiles.reshape(-1, SKETCH_SIDE, SKETCH_SIDE)
