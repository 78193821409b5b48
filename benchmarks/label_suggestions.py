"""Suggested labels that are accepted unread: how many are expected to be wrong, and how many are.

    python benchmarks/label_suggestions.py                                           # the drawn sample
    python benchmarks/label_suggestions.py IMAGES --weights mobilenet_v2.weights.h5 --image-size 128

Labels of some images are flipped at random. The head's probe suggests others, with a confidence, and those with at
least the confidence asked for are accepted. A figure is the mean over draws of the images and of the flips. Without
flips every accepted suggestion counts as wrong, unless a photograph has a wrong name of its own.

`docs/explanation/label-errors.md` has the figures.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.logs import start_logging
from headstart.components.download_dataset.step import download_dataset
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.label_errors import find_suspects
from headstart.components.train_head.probe import LabelledFeatures, predict_out_of_fold
from headstart.components.train_head.ridge import reduce_features
from headstart.components.train_head.step import prepare_head_job
from headstart.pipelines.sample.folder import draw_sample

RATES = (0.0, 0.01, 0.03, 0.05, 0.1)
CONFIDENCES = (0.5, 0.8, 0.9)


@dataclasses.dataclass(frozen=True)
class Accepted:
    """Suggestions that were accepted.

    Attributes:
        changed: Number of labels that they change.
        expected: Number of these that are expected to be wrong.
        wrong: Number of these that are wrong.
    """

    changed: int
    expected: float
    wrong: int


def compute_features(data: str, folder: Path, settings: dict[str, object]) -> LabelledFeatures:
    """Features of the training and validation images of a source, with their labels.

    Args:
        data: Source of the images.
        folder: Empty folder for artifacts.
        settings: Settings of the recipe.
    """
    dataset, train, validation, test = (folder / name for name in ("dataset", "train", "validation", "test"))
    download_dataset([data], dataset, folder / "hygiene.html")
    split_dataset(dataset, train, validation, test, SplitSettings(SplitSizes([], [0.9, 0.05, 0.05])))
    recipe = load_recipe(settings={"head.augmented_views": 1} | settings).resolve()
    inputs = TrainingInputs(train, validation, recipe, seed=0)
    with prepare_head_job(inputs) as (job, _):
        cached = [each.activations[0] for each in (job.train_features, job.validation_features)]
        reduced = reduce_features(cached, job.network.get_layer(job.backbone).output.shape[-1])
    rows = [read_columns(each, ["label", "group"]) for each in (train, validation)]
    return LabelledFeatures(
        reduced.features,
        np.concatenate([each["label"].to_numpy() for each in rows]),
        [group for each in rows for group in each["group"].to_pylist()],
        len(job.train_info.classes),
    )


def draw(data: LabelledFeatures, images: int, random: np.random.Generator) -> LabelledFeatures:
    """Some of the images, drawn at random."""
    rows = np.sort(random.permutation(len(data.labels))[:images])
    groups = [data.groups[row] for row in rows]
    return LabelledFeatures(data.features[rows], data.labels[rows], groups, data.classes)


def accept(data: LabelledFeatures, labels: NDArray[np.int64], seed: int) -> dict[float, Accepted]:
    """Accepts suggestions for given labels, by the least confidence.

    Args:
        data: Features with the true labels.
        labels: Given labels, (n,).
        seed: Random seed of the folds.
    """
    probabilities, _ = predict_out_of_fold(dataclasses.replace(data, labels=labels), seed)
    suspects = find_suspects(labels, probabilities)
    wrong = probabilities[suspects.rows].argmax(axis=1) != data.labels[suspects.rows]
    found = {}
    for least in CONFIDENCES:
        chosen = suspects.confidence >= least
        expected = float((1 - suspects.confidence[chosen]).sum())
        found[least] = Accepted(int(chosen.sum()), expected, int(wrong[chosen].sum()))
    return found


def main() -> None:
    """Parses the command line, computes features once, flips labels again and again, and prints the means."""
    parser = argparse.ArgumentParser(
        description="Compare the expected number of wrong suggestions with the true one."
    )
    parser.add_argument("images", nargs="?", default="", help="labelled images; left out: 1,400 drawn ones")
    parser.add_argument("--weights", default="", help="weights of the recipe's backbone")
    parser.add_argument("--image-size", type=int, default=0)
    parser.add_argument("--sizes", default="1000", help="numbers of images, with commas between them")
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    start_logging()
    settings: dict[str, object] = {"weights": args.weights} if args.weights else {}
    settings |= {"image_size": args.image_size} if args.image_size else {}
    with tempfile.TemporaryDirectory(prefix="suggestions-") as folder:
        data = args.images
        if not data:
            data = f"{folder}/sample"
            draw_sample(Path(data), 700)
            settings |= {"backbone": "sketchnet"}
        features = compute_features(data, Path(folder), settings)
    for images in map(int, args.sizes.split(",")):
        for rate in RATES:
            results = []
            for seed in range(args.draws):
                random = np.random.default_rng(seed)
                part = draw(features, images, random)
                labels, flipped = part.labels.copy(), random.permutation(len(part.labels))[: round(rate * images)]
                labels[flipped] += random.integers(1, part.classes, len(flipped))
                results.append(accept(part, labels % part.classes, seed))
            for least in CONFIDENCES:
                changed, expected, wrong = np.mean(
                    [dataclasses.astuple(each[least]) for each in results], axis=0
                ).tolist()
                print(
                    f"{images:,} images, {rate:.0%} flipped, confidence {least}: {changed:.1f} changed, "
                    f"{expected:.1f} expected to be wrong, {wrong:.1f} wrong",
                    flush=True,
                )


if __name__ == "__main__":
    main()
