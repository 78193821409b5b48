"""Test images in the report: galleries, the images behind each cell of the confusion matrix, the feature map."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.thumbnails import Thumbnail
from headstart.components.core.reports.page import data_url, shown
from headstart.components.evaluate_model.feature_map import FeatureMap

SUSPECTS = "suspected label errors"
"""Gallery of training and validation images, which `train_head` makes."""

_NAME, _PATH = 40, 60
_SLICES = 60


@dataclasses.dataclass(frozen=True)
class PredictedImage:
    """One test image with its prediction.

    Attributes:
        row: Row of the predictions.
        path: Path of the image in its source.
        label: Index of its class.
        predicted: Index of the most probable class.
        confidence: Calibrated probability of the most probable class.
    """

    row: int
    path: str
    label: int
    predicted: int
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the most probable class is the right one."""
        return self.label == self.predicted


@dataclasses.dataclass(frozen=True)
class BrowsedImage(PredictedImage):
    """One image of the page.

    Attributes:
        number: Position among the images of the page.
        confidence_label: Calibrated probability of its own class.
        slices: Slices that it belongs to, as indices into `ImageBrowser.slices`.
        picture: Thumbnail as a `data:` URL.
        heat: Thumbnail with a heat map as a `data:` URL; empty for none.
    """

    number: int
    confidence_label: float
    slices: list[int]
    picture: str
    heat: str


@dataclasses.dataclass(frozen=True)
class MapPoint(PredictedImage):
    """One image of the feature map.

    Attributes:
        image: Position among the images of the page; None if it is not among them.
        x: Horizontal place, 0 to 1.
        y: Vertical place from the bottom, 0 to 1.
    """

    image: int | None
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class ImageBrowser:
    """The test images that the page holds.

    Attributes:
        classes: Class names, ready to show.
        slices: Names of slices that images can be filtered by.
        mistakes: Images that are always shown: wrong predictions, the most confident first.
        correct: Images that are always shown: correct predictions, the least certain first.
        further: Images that are shown when asked for.
        total: Number of test images.
        total_mistakes: Number of wrong predictions among them.
    """

    classes: list[str]
    slices: list[str]
    mistakes: list[BrowsedImage]
    correct: list[BrowsedImage]
    further: list[BrowsedImage]
    total: int
    total_mistakes: int

    @property
    def images(self) -> list[BrowsedImage]:
        """All images of the page, in the order of their numbers."""
        return [*self.mistakes, *self.correct, *self.further]

    def as_json(self) -> dict[str, Any]:
        """The images for the page's script; those that are always shown come without their thumbnails."""
        always = len(self.mistakes) + len(self.correct)
        return {
            "classes": [shown(name, _NAME) for name in self.classes],
            "slices": self.slices,
            "total": self.total,
            "always": always,
            "images": [
                [
                    shown(each.path, _PATH),
                    each.label,
                    each.predicted,
                    round(each.confidence, 5),
                    round(each.confidence_label, 5),
                    each.slices,
                    each.picture if each.number >= always else "",
                ]
                for each in self.images
            ],
        }


def browse_images(
    predictions: Predictions, probabilities: NDArray[np.float64], thumbnails: Sequence[Thumbnail]
) -> ImageBrowser:
    """Collects the test images of the page.

    Args:
        predictions: Predictions of the final model.
        probabilities: Their calibrated probabilities, (n, classes).
        thumbnails: Thumbnails of an evaluation; those with a heat map are always shown.
    """
    confidence, predicted, right = probabilities.max(axis=1), predictions.predicted, predictions.right
    rows = _rows_by_id(predictions)
    pictures: dict[int, Thumbnail] = {}
    for each in thumbnails:
        # An earlier version showed an image in several galleries.
        if each.gallery != SUSPECTS and each.id in rows:
            pictures.setdefault(rows[each.id], each)
    always = [row for row, each in pictures.items() if each.heat]
    mistakes = sorted((row for row in always if not right[row]), key=lambda row: -confidence[row])
    correct = sorted((row for row in always if right[row]), key=lambda row: confidence[row])
    order = [*mistakes, *correct, *(row for row, each in pictures.items() if not each.heat)]
    names = _name_slices(predictions)
    images = [
        BrowsedImage(
            number=number,
            row=row,
            path=predictions.paths[row],
            label=int(predictions.labels[row]),
            predicted=int(predicted[row]),
            confidence=float(confidence[row]),
            confidence_label=float(probabilities[row, predictions.labels[row]]),
            slices=[
                names[column, values[row]]
                for column, values in predictions.slices.items()
                if (column, values[row]) in names
            ],
            picture=data_url(pictures[row].picture),
            heat=data_url(pictures[row].heat) if pictures[row].heat else "",
        )
        for number, row in enumerate(order)
    ]
    first, second = len(mistakes), len(mistakes) + len(correct)
    return ImageBrowser(
        classes=predictions.classes,
        slices=[f"{shown(column, 24)} = {shown(value, 24)}" for column, value in names],
        mistakes=images[:first],
        correct=images[first:second],
        further=images[second:],
        total=len(predictions.ids),
        total_mistakes=int((~right).sum()),
    )


def place_images(
    browser: ImageBrowser, predictions: Predictions, probabilities: NDArray[np.float64], feature_map: FeatureMap
) -> list[MapPoint]:
    """Joins the feature map with the images of the page; mistakes come last, so that they are drawn on top."""
    rows = _rows_by_id(predictions)
    numbers = {each.row: each.number for each in browser.images}
    confidence, predicted = probabilities.max(axis=1), predictions.predicted
    points = [
        MapPoint(
            image=numbers.get(row),
            x=x,
            y=y,
            row=row,
            label=int(predictions.labels[row]),
            predicted=int(predicted[row]),
            confidence=float(confidence[row]),
            path=predictions.paths[row],
        )
        for image, x, y in zip(feature_map.ids, feature_map.x, feature_map.y, strict=True)
        if (row := rows.get(image)) is not None
    ]
    return sorted(points, key=lambda point: not point.right)


def _rows_by_id(predictions: Predictions) -> dict[str, int]:
    """Row of each image by its id; the first, where several have it."""
    return {image: row for row, image in reversed(list(enumerate(predictions.ids)))}


def _name_slices(predictions: Predictions) -> dict[tuple[str, str], int]:
    """Column and value of the slices that a filter offers, in order, with their positions; the largest ones."""
    sizes: dict[tuple[str, str], int] = {}
    for column, values in predictions.slices.items():
        for value in values:
            sizes[column, value] = sizes.get((column, value), 0) + 1
    # A column that has a value of its own for each image, such as a file name, makes no slices.
    largest = sorted((each for each in sizes if sizes[each] > 1), key=lambda each: -sizes[each])[:_SLICES]
    return {each: place for place, each in enumerate(sorted(largest))}
