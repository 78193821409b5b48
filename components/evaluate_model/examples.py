"""Example test images for the report, with Grad-CAM heat maps."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.thumbnails import Thumbnail, encode_jpeg, shrink

MISTAKES = "most confident mistakes"
LEAST_SURE = "least sure"

_OF_A_KIND, _PAIRS, _OF_A_PAIR = 12, 6, 6

HeatMaps = Callable[[list[bytes], NDArray[np.int64]], NDArray[np.float32]]
"""Function from encoded images and a class for each to heat maps (n, height, width), 0 to 1."""


def make_examples(test: Path, predictions: Predictions, heat: HeatMaps) -> list[Thumbnail]:
    """Makes thumbnails and heat maps of example images, gallery by gallery.

    Args:
        test: Dataset artifact of the test images.
        predictions: Predictions of the model for them.
        heat: Function that computes heat maps.
    """
    galleries = choose_galleries(predictions)
    wanted = {row for rows in galleries.values() for row in rows}
    found = {number: row for number, row in enumerate(read_rows(test)) if number in wanted}
    order = sorted(found)
    maps = heat([found[row].image for row in order], predictions.predicted[order])
    seen = dict(zip(order, maps, strict=True))
    names, predicted = predictions.classes, predictions.predicted

    def shown(gallery: str, row: int) -> Thumbnail:
        copy = shrink(Image.open(io.BytesIO(found[row].image)))
        return Thumbnail(
            gallery,
            predictions.ids[row],
            predictions.paths[row],
            names[predictions.labels[row]],
            names[predicted[row]],
            float(predictions.probabilities[row].max()),
            float(predictions.probabilities[row, predictions.labels[row]]),
            encode_jpeg(copy),
            encode_jpeg(_heated(copy, seen[row])),
        )

    return [shown(gallery, row) for gallery, rows in galleries.items() for row in rows]


def choose_galleries(predictions: Predictions) -> dict[str, list[int]]:
    """Chooses rows by gallery: confident mistakes, least sure predictions, further mistakes by confused pair."""
    sure = predictions.probabilities.max(axis=1)
    labels, predicted = predictions.labels, predictions.predicted
    wrong = np.flatnonzero(~predictions.right)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    first = wrong[:_OF_A_KIND].tolist()
    two = np.partition(predictions.probabilities, -2, axis=1)[:, -2:]
    unsure = np.argsort(two[:, 1] - two[:, 0], kind="stable")[:_OF_A_KIND].tolist()
    galleries = {MISTAKES: first, LEAST_SURE: unsure}
    pairs: dict[tuple[int, int], list[int]] = {}
    for row in wrong.tolist():
        pairs.setdefault((int(labels[row]), int(predicted[row])), []).append(row)
    for (label, other), rows in sorted(pairs.items(), key=lambda pair: -len(pair[1]))[:_PAIRS]:
        further = [row for row in rows if row not in first][:_OF_A_PAIR]
        if further:
            galleries[f"{predictions.classes[label]} predicted as {predictions.classes[other]}"] = further
    return galleries


def _heated(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The image in gray under the colours of a heat map, readable for the colour-blind."""
    resized = Image.fromarray(heat, mode="F").resize(image.size, Image.Resampling.BICUBIC)
    colours = colormaps["viridis"](np.clip(np.asarray(resized), 0, 1))[..., :3]
    gray = np.asarray(image.convert("L"), np.float32)[..., None]
    return Image.fromarray((0.45 * gray + 0.55 * 255 * colours).astype(np.uint8))
