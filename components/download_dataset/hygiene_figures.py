"""Figures of the hygiene page: bars, galleries and the scatter plot of sizes, as the template draws them."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.reports import page
from headstart.components.download_dataset.hygiene_data import HygieneStatistics
from headstart.components.download_dataset.hygiene_warnings import list_names

_MAX_BARS = 10
_IMAGES_OF_GROUP, _IMAGES_OF_LOOK = 6, 12
_THUMBNAIL_SIDE = 112

_LOOK_SENTENCES = {
    "dark": "Nearly all pixels are darker than a third of full brightness.",
    "bright": "Nearly all pixels are brighter than two thirds of full brightness.",
    "blurry": "There is no fine detail, horizontally or vertically.",
    "low information": "Nearly all pixels have the same brightness.",
}


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar of a bar chart.

    Attributes:
        name: Label of the bar.
        number: Number of images or files.
        share: Share of all, 0 to 1.
        length: Length relative to the longest bar, 0 to 1.
        by_split: Number of images in each ready-made split.
    """

    name: str
    number: int
    share: float
    length: float
    by_split: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A small image with its caption.

    Attributes:
        image: The image as a `data:` address.
        label: Name of its class.
        path: Path of its file.
    """

    image: str
    label: str
    path: str


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Thumbnails of images that have something in common.

    Attributes:
        title: Name of the gallery; empty: none.
        text: Sentence on what the images have in common; empty: none.
        total: Number of images, also of those without a thumbnail.
        figures: Thumbnails of the first images.
        marks: Problems of the images, in words.
    """

    title: str
    text: str
    total: int
    figures: list[Thumbnail]
    marks: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Widths and heights of the images.

    Attributes:
        words: Sentences.
        dots: Dots (x, y, radius) in a square of side 1 on logarithmic axes; empty: all images have one size.
        ticks: Ticks of both axes: pixels, and position from 0 to 1.
    """

    words: list[str]
    dots: list[tuple[float, float, float]]
    ticks: list[tuple[int, float]]


def class_bars(statistics: HygieneStatistics) -> list[Bar]:
    """A bar for each class, the largest first."""
    counts = statistics.counts
    of_split = [statistics.counts_of_split(split) for split in statistics.splits]
    order = sorted(range(len(counts)), key=lambda label: -counts[label])
    return [
        Bar(
            statistics.classes[label],
            counts[label],
            counts[label] / max(1, statistics.used),
            counts[label] / max(1, *counts),
            [numbers[label] for numbers in of_split],
        )
        for label in order
    ]


def value_bars(numbers: Mapping[str, int]) -> list[Bar]:
    """A bar for each value, the most frequent first; those beyond the tenth together.

    Args:
        numbers: Number of occurrences of each value.
    """
    counts = Counter(numbers).most_common()
    total = sum(numbers.values())
    head, tail = counts[:_MAX_BARS], counts[_MAX_BARS:]
    if tail:
        head.append((f"{len(tail):,} others", sum(number for _, number in tail)))
    return [Bar(name, number, number / total, number / max(n for _, n in head)) for name, number in head]


def group_gallery(statistics: HygieneStatistics, rows: Sequence[int]) -> Gallery:
    """Gallery of a group of near-duplicates, with marks where it has several classes or splits.

    Args:
        statistics: Statistics of the data.
        rows: Rows of the images.
    """
    labels, splits = statistics.labels_in(rows), statistics.splits_in(rows)
    marks = []
    if len(labels) > 1:
        marks.append("suspicious: " + list_names([statistics.classes[label] for label in sorted(labels)]))
    if len(splits) > 1:
        marks.append("leak: " + ", ".join(split for split in SPLITS if split in splits))
    seen = Counter[tuple[int, str]]()
    turn = {}
    for row in rows:
        kind = statistics.label_of(row), statistics.split_of(row)
        seen[kind] += 1
        turn[row] = seen[kind]
    # One of each class and split first, so that contradictions are visible.
    order = sorted(rows, key=turn.__getitem__)
    return Gallery("", "", len(rows), _thumbnails(statistics, order[:_IMAGES_OF_GROUP]), marks)


def odd_gallery(statistics: HygieneStatistics, look: str) -> Gallery:
    """Gallery of the images that look odd in one way, the most extreme first.

    Args:
        statistics: Statistics of the data.
        look: Name of the look.
    """
    rows = statistics.odd[look]
    figures = _thumbnails(statistics, rows[:_IMAGES_OF_LOOK])
    return Gallery(look.capitalize(), _LOOK_SENTENCES[look], len(rows), figures)


def _thumbnails(statistics: HygieneStatistics, rows: Sequence[int]) -> list[Thumbnail]:
    return [
        Thumbnail(
            page.thumbnail(statistics.data.read_image(row), _THUMBNAIL_SIDE),
            statistics.classes[statistics.label_of(row)],
            statistics.properties["path"][row].as_py(),
        )
        for row in rows
    ]


def describe_sizes(properties: pa.Table) -> Sizes:
    """Sizes of the images in words and as a scatter plot.

    Args:
        properties: Properties of the images.
    """
    width, height = properties["width"].to_numpy(), properties["height"].to_numpy()
    stored = np.maximum(properties["stored_width"].to_numpy(), properties["stored_height"].to_numpy())
    area = width.astype(np.int64) * height
    order = np.argsort(area, kind="stable")
    least, median, most = (f"{width[row]:,} x {height[row]:,}" for row in order[[0, len(order) // 2, -1]])
    if (width == width[0]).all() and (height == height[0]).all():
        words = [f"All are {median} pixels."]
    else:
        words = [f"From {least} to {most} pixels; the median by area is {median}."]
    reduced = int((stored < np.maximum(width, height)).sum())
    if reduced:
        words.append(f"{reduced:,} were larger, and were reduced to {stored.max():,} pixels along the longest side.")
    return Sizes(words, *_scatter(width, height))


def _scatter(
    width: NDArray[np.int32], height: NDArray[np.int32]
) -> tuple[list[tuple[float, float, float]], list[tuple[int, float]]]:
    """Dots for each eighth of a doubling, with areas by the number of images, and powers of two as ticks."""
    places = Counter(
        zip(*(np.round(8 * np.log2(side)).astype(int).tolist() for side in (width, height)), strict=True)
    )
    if len(places) == 1:
        return [], []
    low = math.floor(min(min(place) for place in places) / 8)
    high = max(low + 1, math.ceil(max(max(place) for place in places) / 8))
    span, largest = high - low, max(places.values())
    dots = [
        ((x / 8 - low) / span, 1 - (y / 8 - low) / span, 0.008 + 0.04 * math.sqrt(number / largest))
        for (x, y), number in places.items()
    ]
    return dots, [(2**power, (power - low) / span) for power in range(low, high + 1)]
