"""Probes: what closed-form classifiers on the recorded features tell of the data, in seconds."""

import dataclasses
import functools
import operator
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from headstart.components.core.artifacts.dataset import SPLITS, read_columns, read_info
from headstart.components.core.artifacts.predictions import (
    Predictions,
    joined,
    predictions_of,
    write_predictions,
)
from headstart.components.core.artifacts.probe import (
    LABEL_ERRORS,
    LEARNING_CURVE,
    OUT_OF_FOLD,
    PROBE,
    SUSPECTS,
    CurvePoint,
    LearningCurve,
    write_learning_curve,
)
from headstart.components.core.artifacts.thumbnails import Shown, write_pictures
from headstart.components.core.metrics.calibration import fit_temperature, softmax
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL
from headstart.components.core.recipes.recipe import Training
from headstart.components.core.training.class_weights import class_weights
from headstart.components.core.util.logs import event
from headstart.components.train_head.label_errors import (
    Suspects,
    find_suspects,
    suspect_pictures,
    write_label_errors,
)
from headstart.components.train_head.ridge import LinearHead, Sums, fit_all, fit_one, linear_head, reduced

FOLDS = 5
DRAWS = 10
"""Random divisions of the data for the learning curve."""

_HALVINGS = 5
_HELD_OUT = 0.2
_PENALTIES = np.logspace(-4, 1, 11)
"""Of the mean eigenvalue of the features' scatter."""

_EXPONENTS = np.linspace(0.05, 1.5, 30)
_RESAMPLES = 200
_FITTED = (3, 4, 5)


@dataclasses.dataclass(frozen=True)
class Probed:
    """What the probes tell of training and validation images.

    Attributes:
        predictions: Out of fold.
        curve: How accuracy grows with the training set.
        splits: The split of each image.
        suspects: Images whose class is doubtful.
        pictures: The first of them.
        head: What ridge regression on the training images alone reaches, a floor for whatever head is trained.
    """

    predictions: Predictions
    curve: LearningCurve
    splits: list[str]
    suspects: Suspects
    pictures: list[Shown]
    head: LinearHead


def probe_data(
    folders: list[Path],
    activations: list[NDArray[np.float16]],
    channels: int,
    seed: int,
    training: Training,
) -> Probed:
    """Probes the data through its recorded features.

    Args:
        folders: Dataset artifacts of the training and the validation images.
        activations: The plain view of each: (n, …), the last axis or a multiple of it the channels.
        channels: Of the backbone's feature map.
        seed: Of folds and draws.
        training: How the classes weigh in the loss that the head is held against.
    """
    started = time.monotonic()
    data = reduced(activations, channels)
    features = data.features
    info = read_info(folders[0])
    rows = [read_columns(folder, ["label", "group"]) for folder in folders]
    labels = np.concatenate([each["label"].to_numpy() for each in rows])
    groups = [group for each in rows for group in each["group"].to_pylist()]
    classes = len(info.classes)
    probabilities, penalty, temperature = out_of_fold(features, labels, groups, classes, seed)
    curve = learning_curve(features, labels, groups, classes, penalty, info.images, seed)
    weights = class_weights(training, labels[: info.images])
    head = linear_head(data, labels, info.images, classes, penalty, temperature, weights)
    # The largest there is, and what comes next reads pictures.
    del data, features
    ends = np.cumsum([len(each) for each in rows])
    parts = [
        predictions_of(folder, part) for folder, part in zip(folders, np.split(probabilities, ends[:-1]), strict=True)
    ]
    predictions = joined(parts)
    splits = [split for split, part in zip(SPLITS, parts, strict=False) for _ in part.ids]
    doubtful = find_suspects(labels, probabilities)
    event(
        "probe",
        images=len(labels),
        accuracy=float(predictions.right.mean()),
        doubtful_labels=len(doubtful.rows),
        suspected_label_errors=int(doubtful.confident.sum()),
        ridge_validation_loss=head.loss,
        ridge_validation_accuracy=head.accuracy,
        seconds=time.monotonic() - started,
    )
    return Probed(predictions, curve, splits, doubtful, suspect_pictures(folders, predictions, doubtful), head)


def write_probe(model: Path, probed: Probed) -> None:
    """Writes the folder `probe` of a head's artifact."""
    folder = model / PROBE
    folder.mkdir()
    write_predictions(folder / OUT_OF_FOLD, probed.predictions)
    write_label_errors(folder / LABEL_ERRORS, probed.predictions, probed.splits, probed.suspects)
    write_pictures(folder / SUSPECTS, probed.pictures)
    write_learning_curve(folder / LEARNING_CURVE, probed.curve)


def out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: list[str], classes: int, seed: int
) -> tuple[NDArray[np.float64], float, float]:
    """Probabilities of each image, by a classifier that has seen neither it nor a near-duplicate of it.

    Five folds, each class spread over all of them. The penalty is the one with the least squared error out of fold,
    and the temperature that turns scores into probabilities the one with the least cross-entropy.

    Args:
        features: (n, features).
        labels: (n,).
        groups: (n,), shared by near-duplicates.
        classes: How many.
        seed: Of the folds.

    Returns:
        Probabilities (n, classes), the penalty and the temperature.
    """
    fold = folds_of(labels, groups, seed)
    folds = [np.flatnonzero(fold == number) for number in range(FOLDS)]
    sums = [Sums.of(features[rows], labels[rows], classes) for rows in folds]
    whole = functools.reduce(operator.add, sums)
    scatter = float(np.trace(whole.centred()[0])) / features.shape[1]
    penalties = _PENALTIES * max(scatter, np.finfo(np.float32).tiny)
    fitted = [fit_all(whole - each, penalties) for each in sums]

    truth = np.eye(classes, dtype=np.float32)[labels]
    errors = [
        sum(
            float(np.square(ridges[at].scores(features[rows]) - truth[rows]).sum())
            for rows, ridges in zip(folds, fitted, strict=True)
        )
        for at in range(len(penalties))
    ]
    best = int(np.argmin(errors))
    scores = np.empty((len(features), classes))
    for rows, ridges in zip(folds, fitted, strict=True):
        scores[rows] = ridges[best].scores(features[rows])
    temperature = fit_temperature(labels, scores)
    return softmax(scores / temperature), float(penalties[best]), temperature


def folds_of(labels: NDArray[np.int64], groups: list[str], seed: int) -> NDArray[np.int64]:
    """A fold for each image, (n,), near-duplicates in one, each class spread evenly."""
    names, first, group = np.unique(groups, return_index=True, return_inverse=True)
    random = np.random.default_rng(seed).permutation(len(names))
    order = np.lexsort((random, labels[first]))
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % FOLDS
    return fold[group]


def learning_curve(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: list[str],
    classes: int,
    penalty: float,
    images: int,
    seed: int,
) -> LearningCurve:
    """Accuracy on held-out images of classifiers that learned from ever more of the others.

    A fifth of the groups are held out, anew in each of ten draws; from the others, classifiers learn on a 32nd, a
    16th and so on to all, classes in proportion. Through the last four mean errors goes a power law with a floor,
    a + b n^-c (C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993), which says
    what twice the training set would bring. For its interval the draws are resampled, and three, four or five points
    are fitted: how far back the law holds is not known either.

    Args:
        features: (n, features).
        labels: (n,).
        groups: (n,), shared by near-duplicates.
        classes: How many.
        penalty: Of the regression; it stays as it is when images are added, as a prior does.
        images: In the training set as it is.
        seed: Of the draws.
    """
    names, group = np.unique(groups, return_inverse=True)
    draws = []
    for draw in range(DRAWS):
        random = np.random.default_rng((seed, draw))
        held_out = (random.permutation(len(names)) < _HELD_OUT * len(names))[group]
        if held_out.all():
            # One group of near-duplicates is all there is.
            held_out = random.permutation(len(labels)) < _HELD_OUT * len(labels)
        rows = _in_proportion(np.flatnonzero(~held_out), labels, random)
        sizes = [len(rows) >> halvings for halvings in range(_HALVINGS, -1, -1)]
        draws.append(_errors(features, labels, rows, sizes, np.flatnonzero(held_out), classes, penalty))
    table = np.array(draws)
    enough = table[:, :, 0].min(axis=0) >= 2 * classes
    enough[-1] = True
    return _curve(table[:, enough, 0], table[:, enough, 1], images, seed)


def _errors(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    sizes: list[int],
    held_out: NDArray[np.int64],
    classes: int,
    penalty: float,
) -> list[tuple[float, float]]:
    """Sizes, and the shares of held-out images that classifiers on the first so many rows get wrong."""
    errors = []
    sums = Sums.of(features[:0], labels[:0], classes)
    for start, stop in zip([0, *sizes], sizes, strict=False):
        sums += Sums.of(features[rows[start:stop]], labels[rows[start:stop]], classes)
        wrong = 1.0
        if sums.images:
            said = fit_one(sums, penalty).scores(features[held_out]).argmax(axis=1)
            wrong = float((said != labels[held_out]).mean())
        errors.append((float(stop), wrong))
    return errors


def _in_proportion(
    rows: NDArray[np.int64], labels: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """The rows in an order of which every beginning has the classes in proportion."""
    place = np.empty(len(rows))
    for label in np.unique(labels[rows]):
        of_class = np.flatnonzero(labels[rows] == label)
        place[random.permutation(of_class)] = (np.arange(len(of_class)) + random.random(len(of_class))) / len(
            of_class
        )
    return rows[np.argsort(place, kind="stable")]


def _curve(sizes: NDArray[np.float64], errors: NDArray[np.float64], images: int, seed: int) -> LearningCurve:
    random = np.random.default_rng(seed)
    mean_sizes, mean_errors = sizes.mean(axis=0), errors.mean(axis=0)
    gains = []
    for _ in range(_RESAMPLES):
        drawn = errors[random.integers(0, len(errors), len(errors))].mean(axis=0)
        last = int(random.choice(_FITTED))
        gains.append(_gain(mean_sizes[-last:], drawn[-last:], images))
    last = _FITTED[len(_FITTED) // 2]
    gain = _gain(mean_sizes[-last:], mean_errors[-last:], images)
    low, high = np.quantile(gains, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    spread = 1.96 * errors.std(axis=0, ddof=1)
    return LearningCurve(
        points=[
            CurvePoint(
                round(float(size)), 1 - float(error), (max(0.0, 1 - error - width), min(1.0, 1 - error + width))
            )
            for size, error, width in zip(mean_sizes, mean_errors.tolist(), spread.tolist(), strict=True)
        ],
        draws=len(errors),
        images=images,
        gain=gain,
        gain_interval=(min(float(low), gain), max(float(high), gain)),
    )


def _gain(sizes: NDArray[np.float64], errors: NDArray[np.float64], images: int) -> float:
    """What falls off the error when the images double, by the power law that fits best of those that never rise."""
    fits = []
    for exponent in _EXPONENTS:
        terms = np.stack([np.ones_like(sizes), (sizes / sizes[-1]) ** -exponent], axis=1)
        (_, scale), distance = nnls(terms, errors)
        fits.append((distance, exponent, scale))
    _, exponent, scale = min(fits)
    at = images / sizes[-1]
    return float(scale * (at**-exponent - (2 * at) ** -exponent))
