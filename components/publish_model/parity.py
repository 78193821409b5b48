"""The parity gate: what is published has to answer as the model did that was evaluated."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_info
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.originals import ORIGINALS, read_originals
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.images.decoding import DecodedImage, decode_image, resize_pixels
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import quote_name
from headstart.components.publish_model import served

if TYPE_CHECKING:
    import keras

MOST_IMAGES = 4_000
"""Test images that are asked about, at most: a sample of that size finds what goes wrong with one image in a thousand
with a probability of 98 %."""

SEED = 0
_BATCH = 32
_PACKAGE = __name__.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What one form of the model says, beside what was evaluated.

    Attributes:
        images: Test images that both were asked about.
        same_label: Those of them to which both give the same label.
        agreement: Their share.
        largest_difference: Of all probabilities.
        mean_difference: Likewise.
    """

    images: int
    same_label: int
    agreement: float
    largest_difference: float
    mean_difference: float


@dataclasses.dataclass(frozen=True)
class FormParity:
    """What the SavedModel says of files as they came, of one form.

    Attributes:
        files: Files of that form in the data.
        asked: Those of them that it was asked of.
        read: Those of these that it reads: of the others it gives an empty label, where predictions answer.
        largest_difference: Of all probabilities from those of predictions, on files that it reads.
    """

    files: int
    asked: int
    read: int
    largest_difference: float


@dataclasses.dataclass(frozen=True)
class Parity:
    """What the gate found.

    Attributes:
        saved_model: Agreement with the evaluation.
        tolerance: How far a probability may be from the evaluated one.
        on_the_boundary: Images with another label whose two likeliest classes were evaluated within twice the
            tolerance of each other: it does not decide between them.
        test_images: Test images there are.
        seed: Of the sample, where not all were asked about.
        forms: What it says of original files, by their forms; empty for a dataset that holds none.
    """

    saved_model: Agreement
    tolerance: float
    on_the_boundary: int
    test_images: int
    seed: int
    forms: dict[str, FormParity] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sample:
    """The test images on which forms of a model are compared, and what was evaluated on them.

    Attributes:
        dataset: The test set.
        of: How many images it has.
        rows: (n,), which of them, rising.
        ids: (n,).
        paths: (n,), where they came from.
        classes: Class names.
        probabilities: (n, classes), as evaluated, scaled by the temperature of the calibration.
        predicted: (n,), the likeliest class of each, by its index.
    """

    dataset: Path
    of: int
    rows: NDArray[np.int64]
    ids: list[str]
    paths: list[str]
    classes: list[str]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]


def sample_of(test: Path, evaluated: Predictions, temperature: float, most: int = MOST_IMAGES) -> Sample:
    """Draws the test images to compare on: all, or so many of them.

    Args:
        test: The test set.
        evaluated: What the evaluated model says of it.
        temperature: Of the calibration.
        most: How many, at most.
    """
    images = len(evaluated.ids)
    rows = np.arange(images)
    if images > most:
        rows = np.sort(np.random.default_rng(SEED).choice(images, most, replace=False))
    return Sample(
        test,
        images,
        rows,
        [evaluated.ids[row] for row in rows],
        [evaluated.paths[row] for row in rows],
        evaluated.classes,
        apply_temperature(evaluated.probabilities[rows], temperature),
        evaluated.predicted[rows],
    )


def agreement_of(sample: Sample, predicted: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Agreement:
    """Compares answers with what was evaluated.

    Args:
        sample: The images.
        predicted: (n,), indices of the classes.
        probabilities: (n, classes).
    """
    same = int((predicted == sample.predicted).sum())
    differences = np.abs(probabilities - sample.probabilities)
    return Agreement(
        images=len(predicted),
        same_label=same,
        agreement=same / len(predicted),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
    )


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a served model says of a sample.

    Attributes:
        labels: (n,), class names; empty for what it cannot read.
        probabilities: (n, classes).
    """

    labels: NDArray[np.object_]
    probabilities: NDArray[np.float64]


def compared(sample: Sample, answers: Answers, tolerance: float) -> Parity:
    """Compares what a served model says with what was evaluated.

    Args:
        sample: The images.
        answers: What it says of them.
        tolerance: How far a probability may be from the evaluated one.

    Raises:
        HeadstartError: It gives another label, a probability beyond the tolerance, or none.
    """
    labels, probabilities = answers.labels, answers.probabilities
    largest = np.abs(probabilities - sample.probabilities).max(axis=1)
    names = np.array(sample.classes, object)
    other = labels != names[sample.predicted]
    top = np.sort(sample.probabilities, axis=1)[:, -2:]
    undecided = other & (top[:, 1] - top[:, 0] <= 2 * tolerance)
    # What is no number is within nothing.
    wrong = ~(largest <= tolerance) | (other & ~undecided)
    if wrong.any():
        worst = int(np.where(wrong, largest, -1).argmax())
        at = int(np.abs(probabilities[worst] - sample.probabilities[worst]).argmax())
        raise HeadstartError(
            f"nothing is published: the exported model disagrees with the evaluated one on {wrong.sum()} of "
            f"{len(wrong)} test images, most on {sample.paths[worst]}: label "
            f"{quote_name(labels[worst] or 'none')} and "
            f"probability {probabilities[worst, at]:.4f} of {names[at]!r} where {names[sample.predicted[worst]]!r} "
            f"and {sample.probabilities[worst, at]:.4f} were evaluated (tolerance {tolerance}); pass the model, "
            "evaluation and test set of one run"
        )
    index = {name: at for at, name in enumerate(sample.classes)}
    predicted = np.array([index[label] for label in labels])
    parity = Parity(agreement_of(sample, predicted, probabilities), tolerance, int(undecided.sum()), sample.of, SEED)
    event("parity", form="saved_model", **dataclasses.asdict(parity.saved_model))
    return parity


def _run_served(order: dict[str, Any], errors: Path) -> int:
    """Runs the other process to its end and returns its status; where this one ends before, that one does, too.

    Args:
        order: What to do, as `served` reads it.
        errors: The file that its standard error goes to.
    """
    with (
        errors.open("wb") as file,
        subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", served.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=file,
            # An accelerator is this process's; a server may have none.
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - for the type checker
        try:
            # One that is gone already says why in its output. The pipe stays open, for it ends with the pipe.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
            return process.wait()
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def compare_forms(
    saved_model: Path, dataset: Path, model: "keras.Model", info: ModelInfo, temperature: float, tolerance: float
) -> dict[str, FormParity]:
    """Asks a SavedModel, and the model that predictions are made with, of files as they came.

    Pictures above the dataset's `max_side` are not reduced on their way: that is another difference, which the card
    states.

    Args:
        saved_model: Its folder.
        dataset: A dataset with `originals.table`, or without.
        model: The classifier that it was made of.
        info: What `model.json` says of that.
        temperature: Of the calibration.
        tolerance: How far a probability may be from that of a prediction.

    Returns:
        What was found, by form; nothing for a dataset without original files.

    Raises:
        HeadstartError: If it gives another label or a probability beyond the tolerance.
    """
    from headstart.components.core.networks.classifier import remove_resizing, to_probabilities

    originals = read_originals(dataset)
    # One after the other: at their own sizes they would fill the memory.
    pixels = {row: seen for row, each in enumerate(originals) if (seen := _seen(each.content, info)) is not None}
    if not pixels:
        return {}
    network = remove_resizing(model)
    wanted = apply_temperature(
        to_probabilities(network(np.stack(list(pixels.values())), training=False).numpy()), temperature
    )
    _, answers = _ask(saved_model, [dataset / ORIGINALS], list(pixels))
    largest = np.abs(answers.probabilities - wanted).max(axis=1)
    ordered = np.sort(wanted, axis=1)
    unsure = ordered[:, -1] - ordered[:, -2] <= 2 * tolerance
    names = np.array(info.classes, object)[wanted.argmax(axis=1)]
    found: dict[str, FormParity] = {}
    for at, row in enumerate(pixels):
        original, label = originals[row], answers.labels[at]
        if label and not (largest[at] <= tolerance and (label == names[at] or unsure[at])):
            raise HeadstartError(
                f"nothing is published: the exported model says {quote_name(label)} of {original.path} "
                f"({original.form}) "
                f"where predictions say {quote_name(names[at])}; a probability is off by {largest[at]:.4f} "
                f"(tolerance {tolerance})"
            )
        before = found.get(original.form, FormParity(original.files, 0, 0, 0.0))
        found[original.form] = FormParity(
            files=original.files,
            asked=before.asked + 1,
            read=before.read + bool(label),
            largest_difference=max(before.largest_difference, float(largest[at]) if label else 0.0),
        )
    unread = [form for form, each in found.items() if each.read < each.asked]
    event("forms", forms=len(found), unread=", ".join(unread))
    return found


def _seen(content: bytes, info: ModelInfo) -> NDArray[np.float32] | None:
    """A file as predictions see it, but for `max_side`; None where they cannot read it here."""
    decoded = decode_image(content, 0, info.ranges)
    return resize_pixels(decoded.pixels, info.image_size) if isinstance(decoded, DecodedImage) else None


def ask_served(saved_model: Path, sample: Sample) -> Answers:
    """Asks a SavedModel, in a process that has nothing of ours, about the bytes of the images.

    Args:
        saved_model: Its folder.
        sample: The images.

    Raises:
        HeadstartError: It does not answer, or the sample is of another test set.
    """
    shards = [sample.dataset / shard for shard in read_info(sample.dataset).shards]
    ids, answers = _ask(saved_model, shards, sample.rows.tolist())
    if ids != sample.ids:
        raise HeadstartError(f"the test set {sample.dataset} is not the one of the evaluation; pass those of one run")
    return answers


def _ask(saved_model: Path, shards: list[Path], rows: list[int]) -> tuple[list[str], Answers]:
    """Asks of rows of Parquet files, see `served`; their ids, and the answers."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        answers = Path(folder) / "answers.parquet"
        order = {
            "path": [path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir()],
            "package": _PACKAGE,
            "saved_model": str(saved_model),
            "shards": list(map(str, shards)),
            "rows": rows,
            "batch": _BATCH,
            "answers": str(answers),
        }
        errors = Path(folder) / "stderr"
        status = _run_served(order, errors)
        if status:
            lines = errors.read_text(errors="replace").strip().splitlines() or [f"it ended with status {status}"]
            raise HeadstartError(f"nothing is published: the exported model does not answer ({lines[-1]})")
        table = pq.read_table(answers)
    probabilities = np.array(table["probabilities"].to_pylist(), np.float64).reshape(len(table), -1)
    return table["id"].to_pylist(), Answers(np.array(table["label"].to_pylist(), object), probabilities)
