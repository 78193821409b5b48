r"""Compares ways of fine-tuning with the head alone and with ridge regression, on repeated splits.

    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 64 --learn 500 --views 3 \
        --ways epochs=4,learning_rate=1e-4 epochs=4,learning_rate=3e-4 epochs=4,learning_rate=1e-3
    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 160 --learn 500 2000
    python benchmarks/fine_tuning.py --things 60 --weights WEIGHTS --image-size 64 --learn 900
    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 224 \
        --ways epochs=4,learning_rate=1e-4 '' epochs=3,learning_rate=3e-4 epochs=2,learning_rate=3e-4

DATASET is a dataset artifact of `download_dataset`; --things draws one of 30 classes instead, unlike those of
ImageNet. The features of every image below the cut are computed once into --work, in --views views, so that a trial
takes seconds. Each split assigns --learn images to training, half as many to validation and up to 1,000 others to
test, at random by its number. The head is trained as in `train_head`, and every way starts from the same one. A way
is a comma-separated list of settings of the recipe's `fine_tuning`; '' is the recipe `fast`. All interpolations of
the weights before and after are measured, so that the choices of factors can be compared.

Every trial is kept in --work, and only missing ones are run. Seconds are CPU seconds of both cores, and of training
alone. The tables are in README.md.
"""

import argparse
import dataclasses
import hashlib
import json
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml
from drawings.things import CLASSES
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.features.compute import FeatureExtractor, Features, load_features
from headstart.components.core.metrics.statistics import cross_entropies
from headstart.components.core.networks.classifier import build_classifier, to_probabilities, unfreeze
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import DEFAULT_RECIPE, Recipe, load_recipe, read_recipe_text
from headstart.components.core.training.batches import PlainBatches
from headstart.components.core.training.fit import fit
from headstart.components.core.training.variables import get_values, set_values
from headstart.components.download_dataset.step import download_dataset
from headstart.components.train_head.probe import LabelledFeatures, predict_out_of_fold
from headstart.components.train_head.ridge import fit_linear_head, reduce_features
from headstart.pipelines.sample.scene import draw_scene, encode_jpeg

_TEST = 1000

FACTORS = (0.25, 0.5, 0.75, 1.0)
CHOICES = {"all of it": (1.0,), "half or all": (0.5, 1.0), "by quarters": FACTORS}

Score = tuple[float, float]
"""Mean cross-entropy and accuracy."""


def draw_things(folder: Path, per_class: int) -> Path:
    """Draws a dataset artifact of 30 classes."""
    if not (folder / "dataset" / "dataset.json").exists():
        for at, (name, figure) in enumerate(CLASSES.items()):
            (folder / "pictures" / name).mkdir(parents=True, exist_ok=True)
            for number in range(per_class):
                rng = np.random.default_rng([at, number])
                (folder / "pictures" / name / f"{number}.jpg").write_bytes(encode_jpeg(draw_scene(figure, rng), rng))
        download_dataset([str(folder / "pictures")], folder / "dataset", folder / "data.html")
    return folder / "dataset"


class Bench:
    """A classifier cut below its fine-tuned layers, and the features of a whole dataset at the cut.

    Args:
        dataset: A dataset artifact.
        recipe: Recipe with backbone, weights, image size and cut.
        views: Number of views to compute.
        work: Folder of the features.
    """

    def __init__(self, dataset: Path, recipe: Recipe, views: int, work: Path) -> None:
        backbone, info = get_backbone(recipe.backbone), read_dataset_info(dataset)
        self.base = build_pretrained_backbone(backbone, recipe.image_size, recipe.weights)
        self.network = build_classifier(
            self.base, backbone.preprocessing, recipe.head_shape(), len(info.classes), recipe.image_size
        )
        self.parts = unfreeze(self.network, self.base.name, recipe.fine_tuning.unfreeze_from)
        self.pretrained = get_values(self.parts.tail.weights)
        path = work / f"{info.digest[:12]}-{recipe.backbone}-{recipe.image_size}-"
        path = path.with_name(f"{path.name}{recipe.fine_tuning.unfreeze_from}-{views}.npy")
        if not path.exists():
            partial = path.with_suffix(".partial")
            FeatureExtractor([self.parts.front], Plan.of(recipe, "fine_tuning", 0)).extract(dataset, views, [partial])
            partial.rename(path)
        self.features = load_features(path, dataset)
        inner, activations = self.parts.tail.layers[1], keras.Input(self.parts.tail.input.shape[1:])
        pooled = keras.Model(activations, keras.layers.GlobalAveragePooling2D()(inner(activations)))
        values = [pooled.predict(view, batch_size=256, verbose=0) for view in self.features.activations]
        self.pooled_features = Features(np.stack(values).astype(np.float16), self.features.labels)
        self._predict = tf.function(lambda batch: self.parts.tail(batch, training=False))

    def score(self, features: Features) -> Score:
        """Scores the network with its present weights on plain images."""
        batches = PlainBatches(features, self.parts.tail.output.shape[-1])
        outputs = np.concatenate([self._predict(batches[at][0]).numpy() for at in range(len(batches))])
        return score_predictions(to_probabilities(outputs), features.labels)


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of training, validation and test images."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def of(cls, images: int, train: int, number: int) -> "Split":
        """Splits images at random."""
        order = np.random.default_rng(number).permutation(images)
        return cls(*np.split(order, [train, train + train // 2, train + train // 2 + _TEST])[:3])

    def select(self, whole: Features, views: int) -> list[Features]:
        """Selects the features of each set; only training images have more views than the plain one."""
        return [
            Features(whole.activations[: views if at == 0 else 1, rows], whole.labels[rows])
            for at, rows in enumerate((self.train, self.validation, self.test))
        ]


def score_predictions(predictions: NDArray[np.float64], labels: NDArray[np.int64]) -> Score:
    """Scores class probabilities, (n, classes)."""
    correct = predictions.argmax(axis=1) == labels
    return float(cross_entropies(labels, predictions).mean()), float(correct.mean())


def measure_seconds(work: Callable[[], Any]) -> float:
    """Runs a function and returns its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train_head(bench: Bench, split: Split, recipe: Recipe, views: int) -> dict[str, Any]:
    """Fits ridge regression and trains the head from it, as the step does; the better one stays in the network."""
    train, validation, test = split.select(bench.pooled_features, views)
    output, labels = bench.network.get_layer("output"), np.concatenate([train.labels, validation.labels])
    classes = len(np.unique(labels))
    set_values(bench.parts.tail.weights, bench.pretrained)
    data = reduce_features([train.activations[0], validation.activations[0]], train.activations.shape[-1])
    labelled = LabelledFeatures(data.features, labels, [str(at) for at in range(len(labels))], classes)
    _, settings = predict_out_of_fold(labelled, 0)
    ridge = fit_linear_head(data, labels, train.images, classes, settings)
    output.set_weights([ridge.kernel, ridge.bias])
    inputs = keras.Input(train.activations.shape[2:])
    head = keras.Model(inputs, output(keras.layers.Dropout(recipe.head_shape().dropout)(inputs)))

    def score_test() -> list[float]:
        return list(score_predictions(to_probabilities(head.predict(test.activations[0], verbose=0)), test.labels))

    figures = {"ridge": [ridge.loss, *score_test()]}
    epochs = []
    seconds = measure_seconds(lambda: epochs.extend(fit(head, train, validation, Plan.of(recipe, "head", 0))))
    if best_epoch(epochs).validation_loss > ridge.loss:
        output.set_weights([ridge.kernel, ridge.bias])
    figures["head"] = [min(ridge.loss, best_epoch(epochs).validation_loss), *score_test()]
    return figures | {"seconds": seconds}


def tune(bench: Bench, split: Split, recipe: Recipe, views: int) -> dict[str, Any]:
    """Fine-tunes from the network's present weights, and scores each interpolation with them."""
    train, validation, test = split.select(bench.features, views)
    tail, initial = bench.parts.tail, get_values(bench.parts.tail.trainable_variables)
    epochs = []
    seconds = measure_seconds(lambda: epochs.extend(fit(tail, train, validation, Plan.of(recipe, "fine_tuning", 0))))
    trained, scores = get_values(tail.trainable_variables), {}
    for factor in FACTORS:
        pairs = zip(initial, trained, strict=True)
        set_values(tail.trainable_variables, [(1 - factor) * first + factor * last for first, last in pairs])
        scores[str(factor)] = [bench.score(validation)[0], *bench.score(test)]
    set_values(tail.trainable_variables, initial)
    return {"shares": scores, "seconds": seconds, "epoch": best_epoch(epochs).epoch}


def parse_settings(way: str) -> dict[str, Any]:
    """Parses ``key=value,key=value`` into settings by their dotted names."""
    pairs = [part.split("=", 1) for part in way.split(",") if part]
    return {f"fine_tuning.{key}": yaml.safe_load(value) for key, value in pairs}


def report(results: dict[str, dict[str, Any]], args: argparse.Namespace, train: int) -> None:
    """Prints a table with a line for each way and choice of factors, means over the splits."""
    heads = [results[f"{train}/{number}/head"] for number in range(args.splits)]
    print(f"\n{train:,} training images, {args.splits} splits")
    print(f"{'':<56}validation   test  accuracy      against the head    better  seconds")
    for name in ("ridge", "head"):
        rows = [each[name] for each in heads]
        print(f"{name:<56}" + "{:10.4f}{:8.4f}{:9.4f}".format(*np.mean(rows, axis=0)))
    for way in args.ways:
        trials = [results[f"{train}/{number}/{way}"] for number in range(args.splits)]
        for choice, factors in CHOICES.items():
            rows = [
                min([head["head"], *(trial["shares"][str(factor)] for factor in factors)])
                if choice != "all of it"
                else trial["shares"]["1.0"]
                for head, trial in zip(heads, trials, strict=True)
            ]
            gains = [100 * (row[2] - head["head"][2]) for row, head in zip(rows, heads, strict=True)]
            better = sum(row[0] < head["head"][0] for row, head in zip(rows, heads, strict=True))
            print(
                f"{(way or 'fast') + ': ' + choice:<56}"
                + "{:10.4f}{:8.4f}{:9.4f}".format(*np.mean(rows, axis=0))
                + f"  {statistics.mean(gains):+5.2f} ({min(gains):+.1f} to {max(gains):+.1f})"
                + f"{better:5d} of {args.splits}{statistics.mean(trial['seconds'] for trial in trials):8.1f}"
            )


def run(args: argparse.Namespace, dataset: Path, known: Path) -> dict[str, dict[str, Any]]:
    """Runs every trial whose result is not there yet."""
    results = json.loads(known.read_text()) if known.exists() else {}
    fixed = {"backbone": args.backbone, "weights": args.weights, "image_size": args.image_size}
    cuts: dict[str, list[str]] = {}
    for way in args.ways:
        recipe = load_recipe(settings=fixed | parse_settings(way)).resolve()
        cuts.setdefault(recipe.fine_tuning.unfreeze_from, []).append(way)
    for point, ways in cuts.items():
        recipe = load_recipe(settings=fixed | {"fine_tuning.unfreeze_from": point}).resolve()
        missing = [
            (learn, number, way)
            for learn in args.learn
            for number in range(args.splits)
            for way in ("head", *ways)
            if f"{learn}/{number}/{way}" not in results
        ]
        if not missing:
            continue
        bench = Bench(dataset, recipe, args.views, args.work)
        for learn, number in dict.fromkeys((learn, number) for learn, number, _ in missing):
            split = Split.of(read_dataset_info(dataset).images, learn, number)
            views = min(args.views, recipe.fine_tuning.count_views(learn))
            results.setdefault(f"{learn}/{number}/head", {}).update(train_head(bench, split, recipe, views))
            for way in [way for *which, way in missing if which == [learn, number] and way != "head"]:
                tuned = load_recipe(settings=fixed | parse_settings(way)).resolve()
                results[f"{learn}/{number}/{way}"] = tune(bench, split, tuned, views)
                print(learn, number, way or "fast", results[f"{learn}/{number}/{way}"], file=sys.stderr, flush=True)
                known.write_text(json.dumps(results))
    return results


def main() -> None:
    """Parses the command line, runs what is missing, and prints."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare ways of fine-tuning.")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument(
        "--things", type=int, default=0, help="number of drawings of each of 30 classes, instead of DATASET"
    )
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="", help="weights of the backbone; left out: its own, downloaded")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--learn", type=int, nargs="+", default=[2000], help="numbers of training images")
    parser.add_argument("--ways", nargs="+", default=["epochs=4,learning_rate=1e-4", "epochs=4,learning_rate=1e-3"])
    parser.add_argument(
        "--views",
        type=int,
        default=1,
        help="greatest number of views; few images are trained on in more views than many",
    )
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/fine_tuning"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    dataset = draw_things(args.work / f"things-{args.things}", args.things) if args.things else args.dataset
    # What a way means depends on the recipe.
    recipe = hashlib.sha256(read_recipe_text(DEFAULT_RECIPE).encode()).hexdigest()[:8]
    known = f"{read_dataset_info(dataset).digest[:12]}-{args.backbone}-{args.image_size}-{args.views}-{recipe}.json"
    results = run(args, dataset, args.work / known)
    for learn in args.learn:
        report(results, args, learn)


if __name__ == "__main__":
    main()
