"""Recorded views against training end to end: accuracy and seconds of the head and of fine-tuning, with one plot.

    python benchmarks/views.py DATASET --weights WEIGHTS --image-size 160 --counts 250 125 500 --plot docs/views.svg

DATASET is a dataset artifact, as `download_dataset` leaves it; each split deals --counts of its images of each class
to training, validation and test, by hash, with its number as the seed. Every way is the whole step as a run takes
it, by the recipe `fast` with another `augmented_views` (0: end to end), recording included, and no record of another
one is used. Fine-tuning starts from the head of one view, for equal epochs. Seconds are of the CPU, of all cores, so
that other work on the machine does not count; those of an epoch are the median's. The figures are in README.md.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
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
from headstart.components.core.util.logs import start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.step import train_head


class Clock(logging.Handler):
    """Notes when each line was logged, in seconds of the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a line."""
        self.lines.append((time.process_time(), record.getMessage()))

    def epoch(self) -> float:
        """Seconds of an epoch."""
        ends = [at for at, line in self.lines if "unit=epochs" in line]
        return statistics.median(np.diff(ends))

    def recorded(self) -> int:
        """Bytes of all records."""
        fields = [line.split() for _, line in self.lines if line.startswith("event=recorded ")]
        return sum(int(part[6:]) for parts in fields for part in parts if part.startswith("bytes="))


def measured(step: Any, *given: Any, model: Path, test: Path) -> dict[str, float]:
    """Runs a step, and the model that it leaves over the test images."""
    clock, logger = Clock(), logging.getLogger("headstart")
    logger.addHandler(clock)
    started = time.process_time()
    with temporary_cache("records"):
        step(*given)
    seconds = time.process_time() - started
    logger.removeHandler(clock)
    labels = read_columns(test, ["label"])["label"].to_numpy()
    right = predict_proba([load_model(model)], test, "test")[0].argmax(axis=1) == labels
    info = read_model_info(model)
    figures = {
        "loss": info.metrics["validation_loss"],
        "accuracy": float(right.mean()),
        "seconds": seconds,
        "epoch": float(clock.epoch()),
        "bytes": clock.recorded(),
        "share": info.metrics.get("fine_tuned_share", 1.0),
    }
    print(model.name, figures, file=sys.stderr, flush=True)
    return figures


def name_of(views: int) -> str:
    """What a way is called."""
    return "end to end" if views == END_TO_END else f"{views} view{'s' * (views > 1)}"


def run(args: argparse.Namespace, number: int, work: Path) -> dict[str, dict[str, float]]:
    """All ways on one split."""
    splits = {name: work / name for name in SPLITS}
    split_dataset(args.dataset, **splits, settings=SplitSettings(SplitSizes(args.counts, []), seed=number))
    data, found = (splits["train"], splits["validation"]), {}

    def recipe(stage: str, views: int) -> Any:
        fixed = {"weights": args.weights, "image_size": args.image_size, "fine_tuning.epochs": args.epochs}
        # The head's stage records nothing for a fine-tuning that goes end to end: each step costs what it does alone.
        return load_recipe(
            settings=fixed | {"fine_tuning.augmented_views": END_TO_END, f"{stage}.augmented_views": views}
        )

    for views in args.views:
        model = work / f"head-{views}"
        given = (*data, model, recipe("head", views), number)
        found[f"head, {name_of(views)}"] = measured(train_head, *given, model=model, test=splits["test"])
    for views in (1, END_TO_END):
        model = work / f"tuned-{views}"
        given = (work / f"head-{args.views[0]}", *data, model, recipe("fine_tuning", views), number)
        found[f"fine-tuning, {name_of(views)}"] = measured(fine_tune, *given, model=model, test=splits["test"])
    return found


def plot(means: dict[str, dict[str, float]], path: Path) -> None:
    """Accuracy over seconds."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name, "axes.spines.top": False}):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for stage, colour, mark in (("head", "#0072b2", "o"), ("fine-tuning", "#e69f00", "s")):
            ways = {way: row for way, row in means.items() if way.startswith(f"{stage},")}
            x, y = ([row["seconds"] for row in ways.values()], [100 * row["accuracy"] for row in ways.values()])
            axes.plot(x, y, mark, color=colour, label=stage)
            for way, left, up in zip(ways, x, y, strict=True):
                axes.annotate(way.split(", ")[1], (left, up), xytext=(5, 4), textcoords="offset points", fontsize=8)
        axes.set_xscale("log")
        axes.set(xlabel="seconds of the CPU, recording included", ylabel="accuracy on test images (%)")
        axes.spines["right"].set_visible(False)
        axes.margins(x=0.25, y=0.2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Prints a line for each way, the mean over the splits, and draws them."""
    start_tensorflow()
    parser = argparse.ArgumentParser(description="Compare recorded views with training end to end.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", default="", help="MobileNetV2's; left out: ImageNet's, downloaded")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--counts", type=int, nargs=3, default=[1000, 500, 500], help="of each class")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8, 0])
    parser.add_argument("--epochs", type=int, default=4, help="of fine-tuning")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="the SVG file to draw")
    args = parser.parse_args()
    start_logging()
    results = []
    for number in range(args.splits):
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(args, number, Path(folder)))
    means = {
        way: {name: statistics.mean(split[way][name] for split in results) for name in row}
        for way, row in results[0].items()
    }
    print(f"{'':<26}validation loss  accuracy  seconds  an epoch  record (MB)  share")
    for way, row in means.items():
        print(
            f"{way:<26}{row['loss']:15.4f}{row['accuracy']:10.4f}{row['seconds']:9.1f}{row['epoch']:10.2f}"
            f"{row['bytes'] / 1e6:13.1f}{row['share']:7.2f}"
        )
    if args.plot:
        plot(means, args.plot)


if __name__ == "__main__":
    main()
