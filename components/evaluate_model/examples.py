"""Thumbnails of test images for the report, some with heat maps."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import ImageRow, read_rows
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.thumbnails import Thumbnail, encode_webp, shrink
from headstart.components.core.util.resources import available_cores
from headstart.components.core.util.thread_map import map_ordered
from headstart.components.evaluate_model.feature_map import MAX_IMAGES, sample_rows
from headstart.components.evaluate_model.unfamiliar_images import find_least_familiar

MISTAKES = "most confident mistakes"
CORRECT = "least and most certain correct predictions"
FURTHER = "further test images"
"""Gallery of the images that the report shows only when asked for, as smaller thumbnails without heat maps."""

_MISTAKES, _CORRECT = 48, 24
_LARGE, _LARGE_QUALITY, _HEAT_QUALITY = 160, 75, 60
_SMALL, _SMALL_QUALITY = 96, 60

HeatMaps = Callable[[list[bytes], NDArray[np.int64]], NDArray[np.float32]]
"""Function from encoded images and a class for each to heat maps (n, height, width), 0 to 1."""


def make_examples(test: Path, predictions: Predictions, heat: HeatMaps) -> list[Thumbnail]:
    """Makes thumbnails of test images, gallery by gallery; those of mistakes and correct ones have heat maps.

    Args:
        test: Dataset artifact of the test images.
        predictions: Predictions of the model for them.
        heat: Function that computes heat maps.
    """
    galleries = choose_galleries(predictions)
    large = {row for name in (MISTAKES, CORRECT) for row in galleries[name]}
    small = set(galleries[FURTHER])

    def wanted() -> Iterator[tuple[int, ImageRow]]:
        return ((number, row) for number, row in enumerate(read_rows(test)) if number in large or number in small)

    def prepare(item: tuple[int, ImageRow]) -> tuple[int, bytes, bytes]:
        number, row = item
        if number in large:
            return number, row.image, b""
        return number, b"", encode_webp(shrink(Image.open(io.BytesIO(row.image)), _SMALL), _SMALL_QUALITY)

    encoded: dict[int, bytes] = {}
    pictures: dict[int, bytes] = {}
    heats: dict[int, bytes] = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        for number, image, picture in map_ordered(pool, prepare, wanted(), 2 * available_cores()):
            (encoded if image else pictures)[number] = image or picture
    order = sorted(encoded)
    maps = heat([encoded[row] for row in order], predictions.predicted[order])
    for row, values in zip(order, maps, strict=True):
        copy = shrink(Image.open(io.BytesIO(encoded[row])), _LARGE)
        pictures[row] = encode_webp(copy, _LARGE_QUALITY)
        heats[row] = encode_webp(_heated(copy, values), _HEAT_QUALITY)
    names, predicted = predictions.classes, predictions.predicted
    return [
        Thumbnail(
            gallery,
            predictions.ids[row],
            predictions.paths[row],
            names[predictions.labels[row]],
            names[predicted[row]],
            float(predictions.probabilities[row].max()),
            float(predictions.probabilities[row, predictions.labels[row]]),
            pictures[row],
            heats.get(row, b""),
        )
        for gallery, rows in galleries.items()
        for row in rows
    ]


def choose_galleries(predictions: Predictions) -> dict[str, list[int]]:
    """Chooses rows by gallery; no row is in two of them, and at most 1,000 are in any.

    Galleries: the most confident mistakes; of each class, the least and the most certain correct predictions; further
    test images: the least familiar, those of the feature map, then more mistakes.
    """
    sure = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(~predictions.right)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    galleries = {MISTAKES: wrong[:_MISTAKES].tolist(), CORRECT: _choose_correct(predictions, sure)}
    taken = {row for rows in galleries.values() for row in rows}
    further = dict.fromkeys([*find_least_familiar(predictions), *sample_rows(len(sure)).tolist(), *wrong.tolist()])
    galleries[FURTHER] = [row for row in further if row not in taken][: MAX_IMAGES - len(taken)]
    return galleries


def _choose_correct(predictions: Predictions, sure: NDArray[np.float64]) -> list[int]:
    """Rows of correct predictions: the least certain ones of each class, then the most certain ones."""
    of_each = _CORRECT // 2
    right = np.flatnonzero(predictions.right)
    chosen: dict[int, None] = {}
    for order in (np.argsort(sure[right], kind="stable"), np.argsort(-sure[right], kind="stable")):
        ranks: dict[int, int] = {}
        ranked = []
        for place, row in enumerate(right[order].tolist()):
            label = int(predictions.labels[row])
            ranks[label] = ranks.get(label, -1) + 1
            ranked.append((ranks[label], place, row))
        best = sorted(ranked)[:of_each]
        chosen |= dict.fromkeys(row for _, _, row in sorted(best, key=lambda each: each[1]))
    return list(chosen)


def _heated(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The image in gray under the colours of a heat map, readable for the colour-blind."""
    resized = Image.fromarray(heat, mode="F").resize(image.size, Image.Resampling.BICUBIC)
    colours = colormaps["viridis"](np.clip(np.asarray(resized), 0, 1))[..., :3]
    gray = np.asarray(image.convert("L"), np.float32)[..., None]
    return Image.fromarray((0.45 * gray + 0.55 * 255 * colours).astype(np.uint8))
