"""What to look at: test images that say most about a model, with what it looked at in them."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.thumbnails import Shown, jpeg, small

MISTAKES = "most confident mistakes"
LEAST_SURE = "least sure"

_OF_A_KIND, _PAIRS, _OF_A_PAIR = 12, 6, 6

Heat = Callable[[list[bytes], NDArray[np.int64]], NDArray[np.float32]]
"""From encoded images, and the class to look for in each, to maps (n, height, width), 0 to 1."""


def pictures_of(test: Path, predictions: Predictions, heat: Heat) -> list[Shown]:
    """Small copies of the images to look at, gallery by gallery.

    Args:
        test: The dataset artifact that was predicted.
        predictions: Of the model.
        heat: Tells what the model looked at.
    """
    galleries = galleries_of(predictions)
    wanted = {row for rows in galleries.values() for row in rows}
    found = {number: row for number, row in enumerate(read_rows(test)) if number in wanted}
    order = sorted(found)
    maps = heat([found[row].image for row in order], predictions.predicted[order])
    seen = dict(zip(order, maps, strict=True))
    names, predicted = predictions.classes, predictions.predicted

    def shown(gallery: str, row: int) -> Shown:
        copy = small(Image.open(io.BytesIO(found[row].image)))
        return Shown(
            gallery,
            predictions.ids[row],
            predictions.paths[row],
            names[predictions.labels[row]],
            names[predicted[row]],
            float(predictions.probabilities[row].max()),
            float(predictions.probabilities[row, predictions.labels[row]]),
            jpeg(copy),
            jpeg(_heated(copy, seen[row])),
        )

    return [shown(gallery, row) for gallery, rows in galleries.items() for row in rows]


def galleries_of(predictions: Predictions) -> dict[str, list[int]]:
    """Rows to look at, by gallery: confident mistakes, the least sure, and further mistakes by confused pair."""
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
            galleries[f"{predictions.classes[label]} taken for {predictions.classes[other]}"] = further
    return galleries


def _heated(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The image in gray under the colours of a map, which the colour-blind can read too."""
    resized = Image.fromarray(heat, mode="F").resize(image.size, Image.Resampling.BICUBIC)
    colours = colormaps["viridis"](np.clip(np.asarray(resized), 0, 1))[..., :3]
    gray = np.asarray(image.convert("L"), np.float32)[..., None]
    return Image.fromarray((0.45 * gray + 0.55 * 255 * colours).astype(np.uint8))
