"""Suspected label errors: images that look like another class than their label."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax

from headstart.components.core.artifacts.dataset import read_rows
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.artifacts.probe import SUSPECTED_FROM
from headstart.components.core.artifacts.thumbnails import Thumbnail, encode_jpeg, shrink
from headstart.components.core.metrics.calibration import softmax, to_logits
from headstart.components.core.util.spreadsheet import escape_cell

SUSPECTED = "suspected label errors"

_MAX_THUMBNAILS = 24

_COLUMNS = (
    *("id", "label", "given", "suggested", "confidence"),
    *("path", "split", "probability_given", "probability_suggested"),
)

_LOWEST_RATE, _HIGHEST_RATE = 1e-9, 0.5
"""Limits of the share of wrong labels; with more of them, nothing could be learned of two classes."""

_MOST_IMAGES = 20_000
"""Images from which the share is estimated; of more, every second, third and so on."""

_TEMPERATURES = np.geomspace(0.05, 2.0, 16)
"""Candidate temperatures, as multiples of the one at which the probabilities fit the given labels best."""


@dataclasses.dataclass(frozen=True)
class LabelSuspects:
    """Images that look like another class than their label.

    Attributes:
        rows: Row numbers of the images, (m,), the most doubtful first.
        confidence: Estimated probability that the likeliest class is right and the label wrong, (m,).
    """

    rows: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def suspected(self) -> int:
        """Number of labels that are more probably wrong than right."""
        return int((self.confidence >= SUSPECTED_FROM).sum())


@dataclasses.dataclass(frozen=True)
class LabelNoise:
    """How given labels come about: from the true class, or with some probability from any other class.

    Attributes:
        rate: Share of labels that are wrong.
        temperature: Divisor of the logits at which they are calibrated for the true classes.
    """

    rate: float
    temperature: float


def find_suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelSuspects:
    """Finds images for which another class is likelier than their label, and estimates how sure that is.

    A confident classifier alone does not make a label wrong: where labels are clean, its most confident mistakes are
    mistakes of its own. So the share of wrong labels is estimated first, see `estimate_label_noise`, and enters the
    confidence by Bayes' rule. The suspects are ranked by how far the probability of their label falls short.

    Source of the ranking, normalized margin: C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
    Uncertainty in Dataset Labels", JAIR 70 (2021).

    Args:
        labels: Given labels, (n,).
        probabilities: Out-of-fold class probabilities, (n, classes).
    """
    own = probabilities[np.arange(len(labels)), labels]
    likeliest = probabilities.argmax(axis=1)
    margin = own - probabilities.max(axis=1)
    rows = np.flatnonzero(likeliest != labels)
    rows = rows[np.argsort(margin[rows], kind="stable")]
    if not len(rows):
        return LabelSuspects(rows, np.empty(0))
    noise = estimate_label_noise(labels, probabilities)
    return LabelSuspects(rows, _posterior(labels[rows], likeliest[rows], probabilities[rows], noise))


def estimate_label_noise(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelNoise:
    """Estimates the share of wrong labels, with the temperature that fits the true classes, by maximum likelihood.

    A label is the true class with probability 1 - rate, and each other class with equal probability. Wrong labels
    stand out because classifiers are sure of another class there, more often than their doubts elsewhere explain. As
    in `fit_temperature`, one image more is assumed to be misjudged by the classifier, so that without any doubtful
    image the temperature does not fall without end, and a single one is not taken for proof of a wrong label.

    Args:
        labels: Given labels, (n,).
        probabilities: Out-of-fold class probabilities, (n, classes).
    """
    step = -(-len(labels) // _MOST_IMAGES)
    labels, logits = labels[::step], to_logits(probabilities[::step])
    images, classes = logits.shape
    rows = np.arange(images)
    doubt = 1 / (images + 2)

    def fit(temperature: float) -> tuple[float, float]:
        """Loss at a temperature, and the rate that is best there."""
        logs = log_softmax(logits / temperature, axis=1)
        own = logs[rows, labels]
        right = np.exp(own)
        wrong = (1 - right) / (classes - 1)
        rate = _fit_rate(right, wrong)
        likelihood = np.log(np.maximum((1 - rate) * right + rate * wrong, np.finfo(float).tiny))
        misjudged = (logs.sum(axis=1) - own) / (classes - 1)
        return float(-((1 - doubt) * likelihood + doubt * misjudged).mean()), rate

    best = int(np.argmin([fit(each)[0] for each in _TEMPERATURES]))
    low, high = _TEMPERATURES[max(0, best - 1)], _TEMPERATURES[min(best + 1, len(_TEMPERATURES) - 1)]
    found = minimize_scalar(
        lambda each: fit(np.exp(each))[0],
        bounds=(np.log(low), np.log(high)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    temperature = float(np.exp(found.x))
    return LabelNoise(fit(temperature)[1], temperature)


def _fit_rate(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    """The share of wrong labels that maximises the likelihood, whose logarithm is concave in it."""

    def slope(rate: float) -> float:
        return float(((wrong - right) / np.maximum((1 - rate) * right + rate * wrong, np.finfo(float).tiny)).sum())

    if slope(_LOWEST_RATE) <= 0:
        return 0.0
    if slope(_HIGHEST_RATE) >= 0:
        return _HIGHEST_RATE
    return float(brentq(slope, _LOWEST_RATE, _HIGHEST_RATE, xtol=1e-6))


def _posterior(
    labels: NDArray[np.int64], likeliest: NDArray[np.int64], probabilities: NDArray[np.float64], noise: LabelNoise
) -> NDArray[np.float64]:
    """Probability that the likeliest class is the true one, given the label, (n,)."""
    true = softmax(to_logits(probabilities) / noise.temperature)
    rows = np.arange(len(labels))
    other = noise.rate / (true.shape[1] - 1)
    own = true[rows, labels]
    label = (1 - noise.rate) * own + other * (1 - own)
    return np.asarray(other * true[rows, likeliest] / np.maximum(label, np.finfo(float).tiny))


def write_label_errors(path: Path, predictions: Predictions, splits: list[str], suspects: LabelSuspects) -> None:
    """Writes a CSV file of the suspects, which `download_dataset` takes back as corrections.

    Columns: `id`; `label`, the class that a correction gives, here still the present one; `given`, the present class;
    `suggested`, the likeliest class; `confidence`, the estimated probability that `suggested` is right; `path`;
    `split`; and the classifier's probabilities of the given and the suggested class. The file is safe to open in a
    spreadsheet: see `core.util.spreadsheet`.

    Args:
        path: File to write.
        predictions: Out-of-fold predictions.
        splits: Name of each image's split.
        suspects: Suspects among the predictions.
    """
    predicted = predictions.predicted
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for row, confidence in zip(suspects.rows.tolist(), suspects.confidence.tolist(), strict=True):
            given, likely = int(predictions.labels[row]), int(predicted[row])
            name, suggested = predictions.classes[given], predictions.classes[likely]
            probabilities = (f"{predictions.probabilities[row, label]:.4f}" for label in (given, likely))
            cells = [
                *(predictions.ids[row], name, name, suggested, f"{confidence:.4f}"),
                *(predictions.paths[row], splits[row], *probabilities),
            ]
            table.writerow(map(escape_cell, cells))


def read_suspect_thumbnails(
    folders: Sequence[Path], predictions: Predictions, suspects: LabelSuspects
) -> list[Thumbnail]:
    """Reads thumbnails of the first two dozen suspects.

    Args:
        folders: Dataset artifacts that the predictions are of, one after the other.
        predictions: Out-of-fold predictions.
        suspects: Suspects among the predictions.
    """
    wanted = {int(row): place for place, row in enumerate(suspects.rows[:_MAX_THUMBNAILS])}
    found: dict[int, Thumbnail] = {}
    predicted = predictions.predicted
    number = 0
    for folder in folders if wanted else ():
        for image in read_rows(folder):
            if number in wanted:
                likely = int(predicted[number])
                found[wanted[number]] = Thumbnail(
                    SUSPECTED,
                    image.id,
                    image.path,
                    predictions.classes[image.label],
                    predictions.classes[likely],
                    float(predictions.probabilities[number, likely]),
                    float(predictions.probabilities[number, image.label]),
                    encode_jpeg(shrink(Image.open(io.BytesIO(image.image)))),
                )
            number += 1
    return [found[place] for place in sorted(found)]
