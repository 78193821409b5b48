"""Ranges of deep images: the sample values that become black and white, for 16- and 32-bit integers and floats.

The data type does not tell them: cameras and microscopes store 10 or 12 bits in 16, thermal cameras use a narrow band
of them, and floats run to 1, 255 or 10,000. The range is, in this order:

1. What the file states: `SMinSampleValue` and `SMaxSampleValue` or a description (ImageJ's `min=` and `max=`,
   OME's `SignificantBits`) in a TIFF, an `sBIT` chunk in a PNG (see `range_of_significant_bits`).
2. What the dataset decided for this form (see `sample_form`) from all of its files: `ranges` in `dataset.json`, and
   in `model.json` of a model trained on it, an object from form to ``[black, white]``.
3. The image's own range, for a form that the dataset does not have: `estimate_range`.

A dataset or model without the key `ranges` was made before there were ranges; its images are read as they were then.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from headstart.components.core.storage.manifests import Finite

Range = tuple[float, float]
"""Sample values that become black and white."""


def _check_order(pair: Range) -> Range:
    black, white = pair
    if not black < white:
        raise ValueError(f"black ({black:g}) has to be less than white ({white:g})")
    return pair


CheckedRange = Annotated[tuple[Finite, Finite], AfterValidator(_check_order)]
"""A range in a manifest: two finite numbers, the first less than the second."""

Ranges = Mapping[str, Range]
"""Ranges by form."""

PNG_GRAY, PNG_RGB = "PNG gray uint16", "PNG RGB uint16"
"""Forms of deep PNGs. They do not include opacity: an alpha channel uses all 16 bits, whatever the colours use, and a
`tRNS` chunk is compared with the samples before they become 8 bits."""

MIN_OWN_BITS = 8
"""Least bits of white for a single image, so that a dark image is not taken for one of few bits."""

_BINS = 2**16
_SAMPLES_AT_ONCE = 2**20
# ImageJ's "Enhance Contrast" saturates 0.35 % of the pixels by default; here only outliers may be clipped.
_OUTLIERS = 1e-3
_OUTLYING_BITS = 2
_NARROW = 1 / 4
_FLOAT_WHITES = (1.0, 255.0)
_FLOAT_SLACK = 1.05
_FLOAT_BLACK_SHARE = 1 / 4


def sample_form(kind: str, samples: NDArray[np.generic]) -> str:
    """Names a form of samples by file format, colours and data type, such as ``TIFF gray float32``.

    Args:
        kind: File format, ``PNG`` or ``TIFF``.
        samples: Gray (height, width) or RGB (height, width, 3).
    """
    return f"{kind} {'gray' if samples.ndim == 2 else 'RGB'} {samples.dtype.name}"


def to_8_bits(samples: NDArray[np.generic], black: float, white: float) -> NDArray[np.uint8]:
    """Maps `black` to 0 and `white` to 255, linearly, rounded half up; values beyond are clipped, NaN is black.

    Args:
        samples: Array of any real data type and shape.
        black: Sample value that becomes black.
        white: Sample value that becomes white, above `black`.
    """
    if samples.dtype in (np.uint16, np.int16):
        # A lookup per sample takes a tenth of the time.
        levels = _levels(np.arange(_BINS).astype(np.uint16).view(samples.dtype), black, white)
        found: NDArray[np.uint8] = levels[samples.view(np.uint16)]
        return found
    levels = np.empty(samples.shape, np.uint8)
    for rows, done in zip(_parts(samples), _parts(levels), strict=True):
        done[...] = _levels(rows, black, white)
    return levels


def _levels(samples: NDArray[np.generic], black: float, white: float) -> NDArray[np.uint8]:
    with np.errstate(over="ignore", invalid="ignore"):
        levels = (samples.astype(np.float64) - black) * (255 / (white - black)) + 0.5
        rounded: NDArray[np.uint8] = np.nan_to_num(levels.clip(0, 255), nan=0).astype(np.uint8)
        return rounded


def _parts(samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Slices of an array along its rows, so that intermediate results take little memory."""
    rows = max(1, _SAMPLES_AT_ONCE // max(1, samples[:1].size))
    return (samples[at : at + rows] for at in range(0, len(samples), rows))


def range_of_significant_bits(samples: NDArray[np.uint16], bits: int) -> Range:
    """The range of a 16-bit PNG whose `sBIT` chunk states fewer significant bits.

    By the specification such samples are scaled to 16 bits, with copies or zeros in the lower bits (PNG, third
    edition, 11.3.2.6 and 13.12). Samples are taken as unscaled if all fit into the significant bits and their lower
    bits vary.

    Args:
        samples: Gray (height, width) or RGB (height, width, 3).
        bits: Significant bits, 1 to 16; the largest of any colour.
    """
    unscaled = int(samples.max(initial=0)) < 2**bits and bool((samples & (2 ** (16 - bits) - 1)).any())
    return 0.0, float(2**bits - 1 if unscaled else 2**16 - 1)


def estimate_range(samples: NDArray[np.generic]) -> Range:
    """Estimates the range of a single image whose form the dataset does not have.

    For unsigned integers: 0 to the least 2^n - 1 that no sample exceeds, n at least 8. For other types: as for a
    dataset of this image alone.

    Args:
        samples: Gray (height, width) or RGB (height, width, 3).
    """
    if samples.dtype.kind == "u":
        return 0.0, _white_of(max(int(samples.max(initial=0)), 2**MIN_OWN_BITS - 1))
    return Histogram.of(samples).range()


@dataclasses.dataclass
class Histogram:
    """Histogram of sample values in bins narrower than 1 % of the value; of constant size, so it can be added up.

    Attributes:
        counts: int64 (65,536,); a bin holds the values whose float32 starts with the same 16 bits.
        least: Least finite sample value; infinity if there is none.
        most: Greatest finite sample value; minus infinity if there is none.
        whole: True if all samples have an integer data type.
    """

    counts: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(_BINS, np.int64))
    least: float = np.inf
    most: float = -np.inf
    whole: bool = True

    @classmethod
    def of(cls, samples: NDArray[np.generic]) -> "Histogram":
        """Counts the finite samples of an image."""
        found = cls(whole=samples.dtype.kind in "iu")
        for part in _parts(samples):
            found._count(part)
        return found

    def _count(self, samples: NDArray[np.generic]) -> None:
        values = samples.ravel() if self.whole else samples[np.isfinite(samples)]
        if values.dtype == np.uint16:
            # Ten times as fast as finding the bin of each sample.
            numbers = np.bincount(values, minlength=_BINS)
            self.counts += np.bincount(_bins(np.arange(_BINS)), numbers, _BINS).astype(np.int64)
        elif values.size:
            self.counts += np.bincount(_bins(values), minlength=_BINS)
        if values.size:
            self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    def add(self, other: "Histogram") -> None:
        """Adds the counts of another histogram."""
        self.counts += other.counts
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.whole = self.whole and other.whole

    def range(self) -> Range:
        """Decides the range of a form in a dataset.

        The lowest and highest 0.1 % of the samples are clipped if they lie far from the others.

        - Integers from 0 on: 0 to the least 2^n - 1 that is not exceeded, as cameras store them.
        - Integers below 0, or that would keep less than a quarter of the contrast that way: least to greatest.
        - Floats from 0 on: to 1 or to 255 if they fill more than half of it and exceed it by at most 5 %, else to the
          greatest; black is 0 unless all values are far from it.
        - Floats below 0: least to greatest.
        """
        if self.least >= self.most:
            most = max(1.0, self.most)
            return 0.0, _white_of(int(most)) if self.whole else most
        low, high = self._quantile(_OUTLIERS), self._quantile(1 - _OUTLIERS)
        if low >= high:
            # Nearly all samples have one value: the others are the image, not outliers.
            low, high = self.least, self.most
        return self._range_of_integers(low, high) if self.whole else self._range_of_floats(low, high)

    def _range_of_integers(self, low: float, high: float) -> Range:
        if self.least >= 0:
            outlying = int(self.most).bit_length() - int(high).bit_length() >= _OUTLYING_BITS
            white = _white_of(int(high if outlying else self.most))
            if high - low >= _NARROW * white:
                return 0.0, white
        return self._extremes(low, high)

    def _range_of_floats(self, low: float, high: float) -> Range:
        black, white = self._extremes(low, high)
        if black < 0:
            return black, white
        for usual in _FLOAT_WHITES:
            if usual / 2 < high <= usual * _FLOAT_SLACK:
                white = usual
        return (0.0 if black <= _FLOAT_BLACK_SHARE * white else black), white

    def _extremes(self, low: float, high: float) -> Range:
        """Least and greatest value without outliers: values further out than the span of the other samples."""
        span = high - low
        return self.least if low - self.least <= span else low, self.most if self.most - high <= span else high

    def _quantile(self, share: float) -> float:
        below = np.cumsum(self.counts)
        return _value_of(int(np.searchsorted(below, share * below[-1])))


def _white_of(greatest: int) -> float:
    return float(2 ** greatest.bit_length() - 1)


def _bins(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Bin of each value; bins are in ascending order."""
    with np.errstate(over="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    return (np.where(bits >> 31, ~bits, bits | 0x80000000) >> 16).astype(np.int64)


def _value_of(number: int) -> float:
    """Value of a bin that is nearest to 0."""
    bits = number << 16
    bits = bits ^ 0x80000000 if number >= _BINS // 2 else ~bits & 0xFFFF0000
    return float(np.array(bits, np.uint32).view(np.float32))
