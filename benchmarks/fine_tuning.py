r"""When and how fine-tuning pays: ways of it against the head alone and ridge regression, on repeated splits.

    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 64 --learn 500 --views 3 \
        --ways epochs=4,learning_rate=1e-4 epochs=4,learning_rate=3e-4 epochs=4,learning_rate=1e-3
    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 160 --learn 500 2000
    python benchmarks/fine_tuning.py --things 60 --weights WEIGHTS --image-size 64 --learn 900
    python benchmarks/fine_tuning.py DATASET --weights WEIGHTS --image-size 224 \
        --ways epochs=4,learning_rate=1e-4 '' epochs=3,learning_rate=3e-4 epochs=2,learning_rate=3e-4

DATASET is a dataset artifact, as `download_dataset` leaves it; --things draws one of 30 classes instead, the like of
which ImageNet has not. What the layers below a cut say of every picture is recorded once into --work, in --views
views, so that a trial costs seconds. Each split deals --learn pictures to training, half as many to validation, and
up to 1,000 others to test, at random by its number; the head is made as the head stage makes it, and every way
starts from the same one. A way is a list of settings of the recipe's `fine_tuning`, with commas between; '' is the
recipe `fast`. All mixtures of the weights before and after are measured, so that the choices of shares can be
compared.

Every trial is kept in --work, and only what is missing there is run. Seconds are of the CPU, of both cores, and of
training alone. The tables are in README.md.
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

from headstart.components.core.artifacts.dataset import read_info
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
from headstart.pipelines.sample.canvas import draw_picture, to_jpeg

_TEST = 1000

SHARES = (0.25, 0.5, 0.75, 1.0)
CHOICES = {"all of it": (1.0,), "half or all": (0.5, 1.0), "by quarters": SHARES}

Score = tuple[float, float]
"""Mean cross-entropy and accuracy."""


def things(folder: Path, per_class: int) -> Path:
    """Draws a dataset artifact of 30 classes."""
    if not (folder / "dataset" / "dataset.json").exists():
        for at, (name, figure) in enumerate(CLASSES.items()):
            (folder / "pictures" / name).mkdir(parents=True, exist_ok=True)
            for number in range(per_class):
                rng = np.random.default_rng([at, number])
                (folder / "pictures" / name / f"{number}.jpg").write_bytes(to_jpeg(draw_picture(figure, rng), rng))
        download_dataset([str(folder / "pictures")], folder / "dataset", folder / "data.html")
    return folder / "dataset"


class Bench:
    """A classifier cut below what is fine-tuned, and the record of a whole dataset at the cut.

    Args:
        dataset: A dataset artifact.
        recipe: Its backbone, weights and image size are used, and where it is cut.
        views: To record.
        work: Folder of the record.
    """

    def __init__(self, dataset: Path, recipe: Recipe, views: int, work: Path) -> None:
        backbone, info = get_backbone(recipe.backbone), read_info(dataset)
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
        self.record = load_features(path, dataset)
        inner, activations = self.parts.tail.layers[1], keras.Input(self.parts.tail.input.shape[1:])
        pooled = keras.Model(activations, keras.layers.GlobalAveragePooling2D()(inner(activations)))
        values = [pooled.predict(view, batch_size=256, verbose=0) for view in self.record.activations]
        self.features = Features(np.stack(values).astype(np.float16), self.record.labels)
        self._answer = tf.function(lambda batch: self.parts.tail(batch, training=False))

    def score(self, record: Features) -> Score:
        """What the network as it stands makes of plain pictures."""
        batches = PlainBatches(record, self.parts.tail.output.shape[-1])
        said = np.concatenate([self._answer(batches[at][0]).numpy() for at in range(len(batches))])
        return scored(to_probabilities(said), record.labels)


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of training, validation and test pictures."""

    learn: NDArray[np.int64]
    choose: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def of(cls, images: int, learn: int, number: int) -> "Split":
        """Deals pictures at random."""
        order = np.random.default_rng(number).permutation(images)
        return cls(*np.split(order, [learn, learn + learn // 2, learn + learn // 2 + _TEST])[:3])

    def records(self, whole: Features, views: int) -> list[Features]:
        """Parts of a record; only training pictures have more views than the plain one."""
        return [
            Features(whole.activations[: views if at == 0 else 1, rows], whole.labels[rows])
            for at, rows in enumerate((self.learn, self.choose, self.test))
        ]


def scored(said: NDArray[np.float64], labels: NDArray[np.int64]) -> Score:
    """Of probabilities, (n, classes)."""
    return float(cross_entropies(labels, said).mean()), float((said.argmax(axis=1) == labels).mean())


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the CPU."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train_head(bench: Bench, split: Split, recipe: Recipe, views: int) -> dict[str, Any]:
    """Ridge regression, and the head from there, as the head stage does it; the better one stays in the network."""
    learn, choose, test = split.records(bench.features, views)
    output, labels = bench.network.get_layer("output"), np.concatenate([learn.labels, choose.labels])
    classes = len(np.unique(labels))
    set_values(bench.parts.tail.weights, bench.pretrained)
    data = reduce_features([learn.activations[0], choose.activations[0]], learn.activations.shape[-1])
    labelled = LabelledFeatures(data.features, labels, [str(at) for at in range(len(labels))], classes)
    _, settings = predict_out_of_fold(labelled, 0)
    ridge = fit_linear_head(data, labels, learn.images, classes, settings)
    output.set_weights([ridge.kernel, ridge.bias])
    inputs = keras.Input(learn.activations.shape[2:])
    head = keras.Model(inputs, output(keras.layers.Dropout(recipe.head_shape().dropout)(inputs)))

    def tested() -> list[float]:
        return list(scored(to_probabilities(head.predict(test.activations[0], verbose=0)), test.labels))

    figures = {"ridge": [ridge.loss, *tested()]}
    epochs = []
    seconds = timed(lambda: epochs.extend(fit(head, learn, choose, Plan.of(recipe, "head", 0))))
    if best_epoch(epochs).validation_loss > ridge.loss:
        output.set_weights([ridge.kernel, ridge.bias])
    figures["head"] = [min(ridge.loss, best_epoch(epochs).validation_loss), *tested()]
    return figures | {"seconds": seconds}


def tune(bench: Bench, split: Split, recipe: Recipe, views: int) -> dict[str, Any]:
    """Fine-tunes from the network as it stands, and measures each mixture with what it was."""
    learn, choose, test = split.records(bench.record, views)
    tail, start = bench.parts.tail, get_values(bench.parts.tail.trainable_variables)
    epochs = []
    seconds = timed(lambda: epochs.extend(fit(tail, learn, choose, Plan.of(recipe, "fine_tuning", 0))))
    end, found = get_values(tail.trainable_variables), {}
    for share in SHARES:
        mixed = [(1 - share) * one + share * other for one, other in zip(start, end, strict=True)]
        set_values(tail.trainable_variables, mixed)
        found[str(share)] = [bench.score(choose)[0], *bench.score(test)]
    set_values(tail.trainable_variables, start)
    return {"shares": found, "seconds": seconds, "epoch": best_epoch(epochs).epoch}


def settings_of(way: str) -> dict[str, Any]:
    """Settings by their dotted names, of ``key=value,key=value``."""
    pairs = [part.split("=", 1) for part in way.split(",") if part]
    return {f"fine_tuning.{key}": yaml.safe_load(value) for key, value in pairs}


def report(results: dict[str, dict[str, Any]], args: argparse.Namespace, learn: int) -> None:
    """Prints a table: a line for each way and choice of shares, means over the splits."""
    heads = [results[f"{learn}/{number}/head"] for number in range(args.splits)]
    print(f"\n{learn:,} training pictures, {args.splits} splits")
    print(f"{'':<56}validation   test  accuracy      against the head    better  seconds")
    for name in ("ridge", "head"):
        rows = [each[name] for each in heads]
        print(f"{name:<56}" + "{:10.4f}{:8.4f}{:9.4f}".format(*np.mean(rows, axis=0)))
    for way in args.ways:
        trials = [results[f"{learn}/{number}/{way}"] for number in range(args.splits)]
        for choice, shares in CHOICES.items():
            rows = [
                min([head["head"], *(trial["shares"][str(share)] for share in shares)])
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
    """Runs every trial that is not known yet."""
    results = json.loads(known.read_text()) if known.exists() else {}
    fixed = {"backbone": args.backbone, "weights": args.weights, "image_size": args.image_size}
    cuts: dict[str, list[str]] = {}
    for way in args.ways:
        recipe = load_recipe(settings=fixed | settings_of(way)).resolve()
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
            split = Split.of(read_info(dataset).images, learn, number)
            views = min(args.views, recipe.fine_tuning.count_views(learn))
            results.setdefault(f"{learn}/{number}/head", {}).update(train_head(bench, split, recipe, views))
            for way in [way for *which, way in missing if which == [learn, number] and way != "head"]:
                tuned = load_recipe(settings=fixed | settings_of(way)).resolve()
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
        "--things", type=int, default=0, help="drawings of each of 30 classes, in the place of DATASET"
    )
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="", help="its weights; left out: its own, downloaded")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--learn", type=int, nargs="+", default=[2000], help="training pictures")
    parser.add_argument("--ways", nargs="+", default=["epochs=4,learning_rate=1e-4", "epochs=4,learning_rate=1e-3"])
    parser.add_argument("--views", type=int, default=1, help="at most; few pictures are trained on in more than many")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/fine_tuning"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    dataset = things(args.work / f"things-{args.things}", args.things) if args.things else args.dataset
    # A way is what the recipe makes of it.
    recipe = hashlib.sha256(read_recipe_text(DEFAULT_RECIPE).encode()).hexdigest()[:8]
    known = f"{read_info(dataset).digest[:12]}-{args.backbone}-{args.image_size}-{args.views}-{recipe}.json"
    results = run(args, dataset, args.work / known)
    for learn in args.learn:
        report(results, args, learn)


if __name__ == "__main__":
    main()
