r"""Compares cached views with end-to-end training: accuracy and seconds of the head and of fine-tuning, and a plot.

    python benchmarks/views.py DATASET --weights WEIGHTS --image-size 160 --counts 250 125 500 \
        --plot docs/images/views.svg

DATASET is a dataset artifact of `download_dataset`. Each split assigns --counts of its images of each class to
training, validation and test, by hash, with its number as the seed. Every variant is the whole step of a run, with
the recipe `fast` and another `augmented_views` (0: end to end). Computing the features counts, and none of another
variant are used. Fine-tuning starts from the head of one view and has the same number of epochs. Seconds are CPU
seconds over all cores, so that other work on the machine does not count; those of an epoch are the median. The
figures are in README.md.
"""

import argparse
import functools
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from headstart.components.core.artifacts.dataset import SPLITS, read_columns
from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.networks.dataset_predictions import predict_proba
from headstart.components.core.networks.saving import load_model
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.recipe import END_TO_END, load_recipe
from headstart.components.core.storage.cache import temporary_cache
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.logs import start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.step import train_head


class Clock(logging.Handler):
    """Records each log line with its time in CPU seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Records a line."""
        self.lines.append((time.process_time(), record.getMessage()))

    def epoch_seconds(self) -> float:
        """Median CPU seconds of an epoch."""
        ends = [at for at, line in self.lines if "unit=epochs" in line]
        return statistics.median(np.diff(ends))

    def feature_bytes(self) -> int:
        """Bytes of all features computed."""
        fields = [line.split() for _, line in self.lines if line.startswith("event=recorded ")]
        return sum(int(part[6:]) for parts in fields for part in parts if part.startswith("bytes="))


def measure(step: Callable[[], Any], model: Path, test: Path) -> dict[str, float]:
    """Runs a step and evaluates its model on the test images.

    Args:
        step: Runs the step.
        model: Folder of the model artifact that the step writes.
        test: Dataset artifact of the test images.
    """
    clock, logger = Clock(), logging.getLogger("headstart")
    logger.addHandler(clock)
    started = time.process_time()
    with temporary_cache("records"):
        step()
    seconds = time.process_time() - started
    logger.removeHandler(clock)
    labels = read_columns(test, ["label"])["label"].to_numpy()
    correct = predict_proba([load_model(model)], test, "test")[0].argmax(axis=1) == labels
    info = read_model_info(model)
    figures = {
        "loss": info.metrics["validation_loss"],
        "accuracy": float(correct.mean()),
        "seconds": seconds,
        "epoch": float(clock.epoch_seconds()),
        "bytes": clock.feature_bytes(),
        "share": info.metrics.get("fine_tuned_share", 1.0),
    }
    print(model.name, figures, file=sys.stderr, flush=True)
    return figures


def name_of(views: int) -> str:
    """Name of a variant in the table."""
    return "end to end" if views == END_TO_END else f"{views} view{'s' * (views > 1)}"


def run(args: argparse.Namespace, number: int, work: Path) -> dict[str, dict[str, float]]:
    """Measures all variants on one split."""
    splits = {name: work / name for name in SPLITS}
    split_dataset(args.dataset, **splits, settings=SplitSettings(SplitSizes(args.counts, []), seed=number))
    found = {}

    def inputs(phase: str, views: int) -> TrainingInputs:
        fixed = {"weights": args.weights, "image_size": args.image_size, "fine_tuning.epochs": args.epochs}
        # With end-to-end fine-tuning the head's step computes no features for it, so each step's cost is its own.
        settings = fixed | {"fine_tuning.augmented_views": END_TO_END, f"{phase}.augmented_views": views}
        return TrainingInputs(splits["train"], splits["validation"], load_recipe(settings=settings), number)

    for views in args.views:
        model = work / f"head-{views}"
        step = functools.partial(train_head, inputs("head", views), model)
        found[f"head, {name_of(views)}"] = measure(step, model, splits["test"])
    for views in (1, END_TO_END):
        model = work / f"tuned-{views}"
        step = functools.partial(fine_tune, work / f"head-{args.views[0]}", inputs("fine_tuning", views), model)
        found[f"fine-tuning, {name_of(views)}"] = measure(step, model, splits["test"])
    return found


def plot(means: dict[str, dict[str, float]], path: Path) -> None:
    """Plots accuracy over seconds as SVG."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name, "axes.spines.top": False}):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for phase, colour, mark in (("head", "#0072b2", "o"), ("fine-tuning", "#e69f00", "s")):
            variants = {name: row for name, row in means.items() if name.startswith(f"{phase},")}
            x, y = (
                [row["seconds"] for row in variants.values()],
                [100 * row["accuracy"] for row in variants.values()],
            )
            axes.plot(x, y, mark, color=colour, label=phase)
            for name, left, up in zip(variants, x, y, strict=True):
                axes.annotate(name.split(", ")[1], (left, up), xytext=(5, 4), textcoords="offset points", fontsize=8)
        axes.set_xscale("log")
        axes.set(xlabel="CPU seconds, computing the features included", ylabel="accuracy on test images (%)")
        axes.spines["right"].set_visible(False)
        axes.margins(x=0.25, y=0.2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Prints a line for each variant, the mean over the splits, and plots them."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare cached views with end-to-end training.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", default="", help="weights of MobileNetV2; left out: ImageNet's, downloaded")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument(
        "--counts",
        type=int,
        nargs=3,
        default=[1000, 500, 500],
        help="training, validation and test images of each class",
    )
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8, 0])
    parser.add_argument("--epochs", type=int, default=4, help="epochs of fine-tuning")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="SVG file to write")
    args = parser.parse_args()
    start_logging()
    results = []
    for number in range(args.splits):
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(args, number, Path(folder)))
    means = {
        variant: {name: statistics.mean(split[variant][name] for split in results) for name in row}
        for variant, row in results[0].items()
    }
    print(f"{'':<26}validation loss  accuracy  seconds  an epoch  features (MB)  share")
    for variant, row in means.items():
        print(
            f"{variant:<26}{row['loss']:15.4f}{row['accuracy']:10.4f}{row['seconds']:9.1f}{row['epoch']:10.2f}"
            f"{row['bytes'] / 1e6:15.1f}{row['share']:7.2f}"
        )
    if args.plot:
        plot(means, args.plot)


if __name__ == "__main__":
    main()
