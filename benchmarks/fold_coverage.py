"""Coverage of the interval of a cross-validated accuracy, beside that of a test set held out.

    python benchmarks/fold_coverage.py photos.zip mobilenet_v2.weights.h5

Draws data sets of 200 photos out of all, and evaluates each in two ways: by cross-validation, the final model trained
on all 200, and by a test set of 15 % held out, the model trained on 70 %. The truth is the accuracy of that model on
all other photos. Columns: mean accuracy by the evaluation, mean truth, share of the 95 % intervals that contain the
truth with its own Wilson interval, mean width of the intervals. `widened` is the interval of reports: Wilson's, wider
by the root of `folds_variance_ratio`. `Nadeau, Bengio` is Wilson's, wider by their correction (Machine Learning 52,
2003); `corrected t` is their own, from the variance between the folds. With `--channels` the features are the first
few, and the problem is harder.

Features are computed once. The head is the ridge regression that the head's training starts from and keeps where
no epoch is better, with its own choice of the penalty; epochs and fine-tuning would take days. Folds, and the images
that are held out, are assigned by the steps' own functions. All features of a data set lie in the space of its 200
photos, so it is computed there: ridge regression gives the same predictions.
"""

import argparse
import dataclasses
import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.metrics.statistics import Interval, widen_for_folds, wilson_interval
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.download_dataset.step import download_dataset
from headstart.components.split_dataset.assignment import assign_splits
from headstart.components.split_dataset.cross_validation import assign_cross_validation
from headstart.components.split_dataset.groups import GroupedImages, SplitImage, group_images
from headstart.components.split_dataset.settings import SplitSettings, SplitSizes
from headstart.components.train_head.probe import LabelledFeatures, predict_out_of_fold
from headstart.components.train_head.ridge import MAX_COMPONENTS, Sums, fit_ridge

_CLASSES = ["cat", "dog"]
_SIZES = SplitSizes([], [0.7, 0.15, 0.15])
_DRAWS_BETWEEN_TABLES = 50
_KINDS = ("Wilson", "widened", "Nadeau, Bengio", "corrected t")


@dataclasses.dataclass(frozen=True)
class Photos:
    """Features of all photos.

    Attributes:
        features: Averaged features, (n, channels).
        labels: Labels, (n,).
        images: Columns that decide the splits.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    images: list[SplitImage]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Accuracy by an evaluation, its intervals, and the truth."""

    accuracy: float
    truth: float
    intervals: list[Interval]


def read_photos(archive: Path, weights: Path, image_size: int) -> Photos:
    """Computes the features of all photos by the steps' own code; near-duplicates have a group."""
    from headstart.components.core.backbones.table import get_backbone
    from headstart.components.core.features.cache import compute_or_load_whole
    from headstart.components.core.networks.classifier import BACKBONE_END, build_classifier, cut_classifier
    from headstart.components.core.networks.pretrained_weights import build_with_weights_file

    settings = {"backbone": "mobilenet_v2", "image_size": image_size, "head.augmented_views": 1}
    recipe = load_recipe(settings=settings).resolve()
    backbone = get_backbone(recipe.backbone)
    base, _ = build_with_weights_file(backbone, image_size, str(weights), "")
    network = build_classifier(base, backbone.preprocessing, recipe.head_shape(), len(_CLASSES), image_size)
    parts = cut_classifier(network, base.name, BACKBONE_END)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        download_dataset([str(archive)], dataset, Path(folder) / "hygiene.html")
        columns = read_columns(dataset, ["id", "label", "group", "image.path", "split"])
        values = zip(*(each.to_pylist() for each in columns.columns), strict=True)
        images = [SplitImage(row, *each) for row, each in enumerate(values)]
        with compute_or_load_whole(parts.front, dataset, Plan.of(recipe, "head", 0)) as features:
            return Photos(np.array(features.activations[0], np.float32), features.labels, images)


def cross_validate(photos: Photos, drawn: NDArray[np.int64], folds: int, seed: int) -> Estimate:
    """Cross-validates a data set, and trains on all of it."""
    data = _group(photos, drawn, seed)
    parts = assign_cross_validation(data, SplitSettings(_SIZES, seed=seed, cross_validation=str(folds)))
    fold = np.array([parts.fold_of[row] for row in drawn])
    right = np.zeros(len(drawn), bool)
    for number in range(folds):
        validation = np.isin(drawn, list(parts.validation[number]))
        held_out = fold == number
        train = drawn[~held_out & ~validation]
        right[held_out] = _predict(photos, train, drawn[validation], drawn[held_out], seed)
    others = np.setdiff1d(np.arange(len(photos.labels)), drawn)
    truth = _predict(photos, drawn, drawn[:0], others, seed).mean()
    by_fold = np.array([right[fold == number].mean() for number in range(folds)])
    wilson = wilson_interval(int(right.sum()), len(drawn))
    accuracy, factor = float(right.mean()), math.sqrt(1 + folds / (folds - 1))
    theirs = (accuracy - factor * (accuracy - wilson[0]), accuracy + factor * (wilson[1] - accuracy))
    intervals = [wilson, widen_for_folds(accuracy, wilson, folds), theirs, _corrected_t(by_fold)]
    return Estimate(right.mean(), truth, intervals)


def hold_out(photos: Photos, drawn: NDArray[np.int64], seed: int) -> Estimate:
    """Evaluates on the test images of a split."""
    assignment = assign_splits(_group(photos, drawn, seed), SplitSettings(_SIZES, seed=seed))
    train, validation, test = (
        np.array([row for row in drawn if assignment.get(row) == split], np.int64)
        for split in ("train", "validation", "test")
    )
    right = _predict(photos, train, validation, test, seed)
    others = np.setdiff1d(np.arange(len(photos.labels)), drawn)
    truth = _predict(photos, train, validation, others, seed).mean()
    return Estimate(right.mean(), truth, [wilson_interval(int(right.sum()), len(right))])


def _group(photos: Photos, drawn: NDArray[np.int64], seed: int) -> GroupedImages:
    return group_images([photos.images[row] for row in drawn], _CLASSES, SplitSettings(_SIZES, seed=seed))


def _predict(
    photos: Photos,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    tested: NDArray[np.int64],
    seed: int,
) -> NDArray[np.bool_]:
    """Whether ridge regression on the training images is right on those tested; it chooses as `train_head` does."""
    known = np.concatenate([train, validation])
    mean = photos.features[known].mean(axis=0)
    axes = np.linalg.svd(photos.features[known] - mean, full_matrices=False)[2][:MAX_COMPONENTS].T
    # As many columns as principal components that a step keeps, as the penalty depends on their number.
    axes = np.pad(axes, ((0, 0), (0, MAX_COMPONENTS - axes.shape[1])))
    reduced = (photos.features[known] - mean) @ axes
    labels, groups = photos.labels[known], [photos.images[row].group for row in known]
    _, settings = predict_out_of_fold(LabelledFeatures(reduced, labels, groups, len(_CLASSES)), seed)
    sums = Sums.of(reduced[: len(train)], labels[: len(train)], len(_CLASSES))
    scores = fit_ridge(sums, settings.penalty).scores((photos.features[tested] - mean) @ axes)
    return np.asarray(scores.argmax(axis=1) == photos.labels[tested])


def _corrected_t(by_fold: NDArray[np.float64]) -> Interval:
    folds = len(by_fold)
    spread = np.sqrt((1 / folds + 1 / (folds - 1)) * by_fold.var(ddof=1)) * stdtrit(folds - 1, 0.975)
    return float(by_fold.mean() - spread), float(by_fold.mean() + spread)


def print_rows(name: str, found: list[Estimate]) -> None:
    """Prints a row for each kind of interval."""
    for at, kind in enumerate(_KINDS[: len(found[0].intervals)]):
        bounds = np.array([each.intervals[at] for each in found])
        truths = np.array([each.truth for each in found])
        held = int(((bounds[:, 0] <= truths) & (truths <= bounds[:, 1])).sum())
        low, high = wilson_interval(held, len(found))
        accuracy = np.mean([each.accuracy for each in found])
        print(
            f"{name:10} {kind:16} {accuracy:8.4f} {truths.mean():8.4f} {held / len(found):8.3f} "
            f"({low:.3f} to {high:.3f}) {np.ptp(bounds, axis=1).mean():8.3f}",
            flush=True,
        )


def main() -> None:
    """Parses the command line, draws, evaluates and prints."""
    parser = argparse.ArgumentParser(description="Coverage of the interval of a cross-validated accuracy.")
    parser.add_argument("photos", type=Path, help="archive of cat.*.jpg and dog.*.jpg")
    parser.add_argument("weights", type=Path, help="ImageNet weights of MobileNetV2 without top")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--folds", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--channels", type=int, default=0, help="features of each photo; 0: all")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    photos = read_photos(args.photos, args.weights, args.image_size)
    if args.channels:
        photos = dataclasses.replace(photos, features=photos.features[:, : args.channels])
    print(f"{args.images} out of {len(photos.labels):,} photos, seed {args.seed}", flush=True)
    rows: dict[str, list[Estimate]] = {}
    for draw in range(args.draws):
        random = np.random.default_rng((args.seed, draw))
        drawn = np.sort(random.choice(len(photos.labels), args.images, replace=False))
        for folds in args.folds:
            rows.setdefault(f"{folds} folds", []).append(cross_validate(photos, drawn, folds, draw))
        rows.setdefault("held out", []).append(hold_out(photos, drawn, draw))
        if (draw + 1) % _DRAWS_BETWEEN_TABLES == 0 or draw + 1 == args.draws:
            print(
                f"{draw + 1} draws\nevaluation interval         accuracy    truth coverage                     width"
            )
            for name, found in rows.items():
                print_rows(
                    name, found, ["Wilson", "widened", "Nadeau, Bengio", "corrected t"][: len(found[0].intervals)]
                )


if __name__ == "__main__":
    main()
