"""The probe: closed-form classifiers on the cached features, which show in seconds what the data hold."""

import dataclasses
import functools
import operator
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from headstart.components.core.artifacts.dataset import SPLITS, read_columns, read_dataset_info
from headstart.components.core.artifacts.predictions import (
    Predictions,
    build_predictions,
    concatenate_predictions,
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
from headstart.components.core.artifacts.thumbnails import Thumbnail, write_thumbnails
from headstart.components.core.metrics.calibration import fit_temperature, softmax
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL
from headstart.components.core.recipes.recipe import TrainingSettings
from headstart.components.core.training.class_weights import compute_class_weights
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import list_first, pluralize, quote_name
from headstart.components.train_head.label_errors import (
    LabelSuspects,
    find_suspects,
    read_suspect_thumbnails,
    write_label_errors,
)
from headstart.components.train_head.ridge import (
    LinearHead,
    RidgeSettings,
    Sums,
    fit_linear_head,
    fit_ridge,
    fit_ridge_for_each,
    reduce_features,
)

FOLDS = 5
CURVE_DRAWS = 10
"""Random divisions of the data for the learning curve."""

_HALVINGS = 5
_NAMES_SHOWN = 3
_HELD_OUT_SHARE = 0.2
_PENALTIES = np.logspace(-4, 1, 11)
"""Candidate penalties, as multiples of the mean eigenvalue of the features' scatter matrix."""

_EXPONENTS = np.linspace(0.05, 1.5, 30)
_RESAMPLES = 200
_FITTED_POINTS = (3, 4)


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features of training and validation images with their labels.

    Attributes:
        features: Reduced features, (n, features).
        labels: Labels, (n,).
        groups: Group of each image, (n,); near-duplicates share one, and images of a group that the user names.
        classes: Number of classes.
        grouping: Word for a group that the user names, such as ``patient``; empty: the user names none.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: list[str]
    classes: int
    grouping: str = ""


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """Findings of the probe on training and validation images.

    Attributes:
        predictions: Out-of-fold predictions.
        curve: Learning curve: accuracy by size of the training set.
        splits: Name of each image's split.
        suspects: Images whose label is doubtful.
        thumbnails: Thumbnails of the first suspects.
        head: Ridge regression on the training images alone, a lower bound for whatever head is trained.
    """

    predictions: Predictions
    curve: LearningCurve
    splits: list[str]
    suspects: LabelSuspects
    thumbnails: list[Thumbnail]
    head: LinearHead


# The matrices are small. Threads of OpenBLAS gain nothing there, and where other processes have the cores, they wait
# for one another: on a busy machine the probe takes several times as long.
@threadpool_limits.wrap(limits=1, user_api="blas")
def probe_data(
    folders: Sequence[Path],
    activations: list[NDArray[np.float16]],
    channels: int,
    seed: int,
    training: TrainingSettings,
) -> ProbeResult:
    """Finds doubtful labels, the learning curve and a ridge head from the cached features.

    Args:
        folders: Dataset artifacts of the training and the validation images.
        activations: Plain view of each, (n, …); the last axis is the channels or a multiple of them.
        channels: Channels of the backbone's feature map.
        seed: Random seed of folds and draws.
        training: Settings of the head's training, whose class weights apply to the ridge head too.
    """
    started = time.monotonic()
    reduced = reduce_features(activations, channels)
    info = read_dataset_info(folders[0])
    rows = [read_columns(folder, ["label", "group"]) for folder in folders]
    labels = np.concatenate([each["label"].to_numpy() for each in rows])
    groups = [group for each in rows for group in each["group"].to_pylist()]
    classes = len(info.classes)
    data = LabelledFeatures(reduced.features, labels, groups, classes, info.grouping)
    probabilities, settings = predict_out_of_fold(data, seed)
    curve = fit_learning_curve(data, settings.penalty, info.images, seed)
    judged = _find_judged(data, info.classes)
    weights = compute_class_weights(training, labels[: info.images])
    head = fit_linear_head(reduced, labels, info.images, classes, settings, weights)
    # The largest array there is, and reading the images comes next.
    del data, reduced
    ends = np.cumsum([len(each) for each in rows])
    parts = [
        build_predictions(folder, part)
        for folder, part in zip(folders, np.split(probabilities, ends[:-1]), strict=True)
    ]
    predictions = concatenate_predictions(parts)
    splits = [split for split, part in zip(SPLITS, parts, strict=False) for _ in part.ids]
    suspects = find_suspects(labels[judged], probabilities[judged])
    suspects = dataclasses.replace(suspects, rows=judged[suspects.rows])
    event(
        "probe",
        images=len(labels),
        accuracy=float(predictions.right.mean()),
        doubtful_labels=len(suspects.rows),
        suspected_label_errors=suspects.suspected,
        ridge_validation_loss=head.loss,
        ridge_validation_accuracy=head.accuracy,
        seconds=time.monotonic() - started,
    )
    thumbnails = read_suspect_thumbnails(folders, predictions, suspects)
    return ProbeResult(predictions, curve, splits, suspects, thumbnails, head)


def write_probe(model: Path, result: ProbeResult) -> None:
    """Writes the folder `probe` of a head's artifact."""
    folder = model / PROBE
    folder.mkdir()
    write_predictions(folder / OUT_OF_FOLD, result.predictions)
    write_label_errors(folder / LABEL_ERRORS, result.predictions, result.splits, result.suspects)
    write_thumbnails(folder / SUSPECTS, result.thumbnails)
    write_learning_curve(folder / LEARNING_CURVE, result.curve)


def predict_out_of_fold(data: LabelledFeatures, seed: int) -> tuple[NDArray[np.float64], RidgeSettings]:
    """Predicts each image by a classifier trained without it, its near-duplicates and its group.

    There are five folds, each class spread evenly over them. The penalty is the one with the lowest squared error out
    of fold, and the temperature the one with the lowest cross-entropy.

    Args:
        data: Features and labels.
        seed: Random seed of the folds.

    Returns:
        Class probabilities (n, classes), and the settings chosen.
    """
    features, labels, classes = data.features, data.labels, data.classes
    fold = assign_folds(data, seed)
    folds = [np.flatnonzero(fold == number) for number in range(FOLDS)]
    sums = [Sums.of(features[rows], labels[rows], classes) for rows in folds]
    whole = functools.reduce(operator.add, sums)
    scatter = float(np.trace(whole.centred()[0])) / features.shape[1]
    penalties = _PENALTIES * max(scatter, np.finfo(np.float32).tiny)
    fitted = [fit_ridge_for_each(whole - each, penalties) for each in sums]

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
    return softmax(scores / temperature), RidgeSettings(float(penalties[best]), temperature)


def assign_folds(data: LabelledFeatures, seed: int) -> NDArray[np.int64]:
    """Assigns each image a fold, (n,): images of a group share one, and each class is spread evenly.

    Groups that the user names may be large and of several classes. The largest are assigned first, each to the fold
    that has least of the classes that it brings. With fewer groups than folds, some folds stay empty.

    Args:
        data: Labels and groups.
        seed: Random seed of the order of equal groups.
    """
    labels = data.labels
    names, first, group = np.unique(data.groups, return_index=True, return_inverse=True)
    random = np.random.default_rng(seed).permutation(len(names))
    fold = np.empty(len(names), np.int64)
    if not data.grouping:
        order = np.lexsort((random, labels[first]))
        fold[order] = np.arange(len(names)) % FOLDS
        return fold[group]
    shares = np.zeros((len(names), data.classes))
    np.add.at(shares, (group, labels), 1)
    shares /= np.maximum(1, shares.sum(axis=0))
    filled = np.zeros((FOLDS, data.classes))
    for each in np.lexsort((random, -shares.max(axis=1))):
        fold[each] = int(np.argmin(filled @ shares[each]))
        filled[fold[each]] += shares[each]
    return fold[group]


def _find_judged(data: LabelledFeatures, classes: list[str]) -> NDArray[np.int64]:
    """Rows whose labels can be judged: some other group that the user names has images of the class, too.

    A classifier that has seen no image of a class finds every other class likelier, and would doubt all its labels.
    """
    if not data.grouping:
        return np.arange(len(data.labels))
    group = np.unique(data.groups, return_inverse=True)[1]
    pairs = np.unique(np.stack([data.labels, group], axis=1), axis=0)
    alone = np.flatnonzero(np.bincount(pairs[:, 0], minlength=data.classes) == 1).tolist()
    if alone:
        names = list_first([quote_name(classes[label]) for label in alone], _NAMES_SHOWN)
        event(
            "warning",
            text=f"labels of {names} are not checked: all training and validation images of the class are of one "
            f"{data.grouping}; add images of other {pluralize(data.grouping, 2)}",
        )
    return np.flatnonzero(~np.isin(data.labels, alone))


def fit_learning_curve(data: LabelledFeatures, penalty: float, train_images: int, seed: int) -> LearningCurve:
    """Measures held-out accuracy for growing training sets, and extrapolates it.

    A fifth of the groups are held out, drawn anew ten times. Classifiers are trained on a 32nd of the others, a 16th
    and so on up to all, classes in proportion. A power law with a floor, a + b n^-c, is fitted to the last three mean
    errors (C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993). It tells what
    twice the training set would gain.

    Of groups that the user names, whole ones are in the small training sets, too: twice the images then means
    twice the patients, not more images of the same.

    The interval of that gain is from a bootstrap of the groups, of the draws, and of the number of fitted points,
    which is three or four, because it is not known from which size on the law holds. The groups stand for the
    images that happened to be collected; without them the interval would say only how well the ten draws agree.
    `benchmarks/learning_curve.py` measures its coverage.

    Args:
        data: Features and labels.
        penalty: Penalty of the regression; like a prior, it stays the same when images are added.
        train_images: Present size of the training set.
        seed: Random seed of the draws.
    """
    labels = data.labels
    names, group = np.unique(data.groups, return_inverse=True)
    draws = []
    for draw in range(CURVE_DRAWS):
        random = np.random.default_rng((seed, draw))
        held_out = (random.permutation(len(names)) < _HELD_OUT_SHARE * len(names))[group]
        if held_out.all():
            # All images are near-duplicates of one another.
            held_out = random.permutation(len(labels)) < _HELD_OUT_SHARE * len(labels)
        rows = np.flatnonzero(~held_out)
        rows = _whole_groups(rows, labels, group, random) if data.grouping else _in_proportion(rows, labels, random)
        sizes = [len(rows) >> halvings for halvings in range(_HALVINGS, -1, -1)]
        tested = np.flatnonzero(held_out)
        draws.append(_CurveDraw(np.array(sizes), group[tested], _find_mistakes(data, rows, sizes, tested, penalty)))
    enough = np.min([each.sizes for each in draws], axis=0) >= 2 * data.classes
    enough[-1] = True
    kept = [_CurveDraw(each.sizes[enough], each.groups, each.mistakes[enough]) for each in draws]
    return _curve(kept, len(names), train_images, seed)


@dataclasses.dataclass(frozen=True)
class _CurveDraw:
    """Mistakes of the classifiers of one random division of the data.

    Attributes:
        sizes: Number of training images of each classifier, (sizes,).
        groups: Number of the group of each held-out image, (held out,).
        mistakes: 1 where a classifier is wrong, (sizes, held out).
    """

    sizes: NDArray[np.int64]
    groups: NDArray[np.int64]
    mistakes: NDArray[np.float32]

    def errors(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Error of each classifier, (sizes,), with a weight for each group, (groups,); 1 without any weight."""
        of_images = weights[self.groups]
        total = float(of_images.sum())
        return (self.mistakes @ of_images).astype(np.float64) / total if total else np.ones(len(self.sizes))


def _find_mistakes(
    data: LabelledFeatures, rows: NDArray[np.int64], sizes: list[int], held_out: NDArray[np.int64], penalty: float
) -> NDArray[np.float32]:
    """1 where a classifier trained on the first rows is wrong on a held-out image, (sizes, held out)."""
    features, labels, classes = data.features, data.labels, data.classes
    mistakes = np.ones((len(sizes), len(held_out)), np.float32)
    sums = Sums.of(features[:0], labels[:0], classes)
    for number, (start, stop) in enumerate(zip([0, *sizes], sizes, strict=False)):
        sums += Sums.of(features[rows[start:stop]], labels[rows[start:stop]], classes)
        if sums.images:
            predicted = fit_ridge(sums, penalty).scores(features[held_out]).argmax(axis=1)
            mistakes[number] = predicted != labels[held_out]
    return mistakes


def _in_proportion(
    rows: NDArray[np.int64], labels: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Shuffles rows so that every prefix has the classes in proportion."""
    place = np.empty(len(rows))
    for label in np.unique(labels[rows]):
        of_class = np.flatnonzero(labels[rows] == label)
        place[random.permutation(of_class)] = (np.arange(len(of_class)) + random.random(len(of_class))) / len(
            of_class
        )
    return rows[np.argsort(place, kind="stable")]


def _whole_groups(
    rows: NDArray[np.int64], labels: NDArray[np.int64], group: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Shuffles rows group by group, so that every prefix has groups of each class in proportion."""
    numbers, first, place = np.unique(group[rows], return_index=True, return_inverse=True)
    order = _in_proportion(np.arange(len(numbers)), labels[rows[first]], random)
    return rows[np.argsort(np.argsort(order)[place], kind="stable")]


def _curve(draws: list[_CurveDraw], groups: int, images: int, seed: int) -> LearningCurve:
    random = np.random.default_rng(seed)
    sizes = np.mean([each.sizes for each in draws], axis=0)
    errors = np.array([each.errors(np.ones(groups, np.float32)) for each in draws])
    gains = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(random.integers(0, groups, groups), minlength=groups).astype(np.float32)
        drawn = [draws[at].errors(weights) for at in random.integers(0, len(draws), len(draws))]
        last = int(random.choice(_FITTED_POINTS))
        gains.append(_gain(sizes[-last:], np.mean(drawn, axis=0)[-last:], images))
    last = _FITTED_POINTS[0]
    gain = _gain(sizes[-last:], errors.mean(axis=0)[-last:], images)
    low, high = np.quantile(gains, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    spread = 1.96 * errors.std(axis=0, ddof=1)
    return LearningCurve(
        points=[
            CurvePoint(
                round(float(size)), 1 - float(error), (max(0.0, 1 - error - width), min(1.0, 1 - error + width))
            )
            for size, error, width in zip(sizes, errors.mean(axis=0).tolist(), spread.tolist(), strict=True)
        ],
        draws=len(draws),
        images=images,
        gain=gain,
        gain_interval=(min(float(low), gain), max(float(high), gain)),
        covers_sampling=True,
    )


def _gain(sizes: NDArray[np.float64], errors: NDArray[np.float64], images: int) -> float:
    """Decrease of the error when the images double, by the best-fitting power law that never rises."""
    terms = (sizes / sizes[-1]) ** -_EXPONENTS[:, None]
    scale, residual = _fit_line(terms, errors)
    best = int(residual.argmin())
    at, exponent = images / sizes[-1], _EXPONENTS[best]
    return float(scale[best] * (at**-exponent - (2 * at) ** -exponent))


def _fit_line(
    terms: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fits the errors by a floor plus a multiple of each row of terms, neither below 0, by least squares.

    Args:
        terms: Values of the falling term, (fits, sizes).
        errors: Errors, (sizes,), none below 0.

    Returns:
        Multiples, (fits,), and sums of squared residuals, (fits,).
    """
    centred = terms - terms.mean(axis=1, keepdims=True)
    squares = np.square(centred).sum(axis=1)
    slope = np.maximum(0.0, np.divide(centred @ errors, squares, out=np.zeros(len(terms)), where=squares > 0))
    # A floor below 0 is 0, and then the line goes through the origin.
    through_origin = terms @ errors / np.square(terms).sum(axis=1)
    slope = np.where(errors.mean() < slope * terms.mean(axis=1), through_origin, slope)
    floor = np.maximum(0.0, errors.mean() - slope * terms.mean(axis=1))
    return slope, np.square(errors - floor[:, None] - slope[:, None] * terms).sum(axis=1)
