"""Parity gate: the published SavedModel must predict what the evaluated model predicted."""

import contextlib
import dataclasses
import itertools
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

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.artifacts.originals import ORIGINALS, read_originals
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.images.decoding import DecodedImage, decode_image, resize_pixels
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, track_progress
from headstart.components.core.util.printable import quote_name
from headstart.components.publish_model import saved_model_process

if TYPE_CHECKING:
    import keras

MAX_SAMPLE = 4_000
"""Most test images that are compared; a sample of that size finds an error on one image in a thousand with a
probability of 98 %."""

SAMPLE_SEED = 0
_BATCH = 32
_PACKAGE = __name__.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of an exported model with the evaluated one on test images.

    Attributes:
        images: Number of test images compared.
        same_label: Number of images with the same label.
        agreement: Share of images with the same label.
        largest_difference: Largest difference of a probability.
        mean_difference: Mean difference of all probabilities.
    """

    images: int
    same_label: int
    agreement: float
    largest_difference: float
    mean_difference: float


@dataclasses.dataclass(frozen=True)
class FileFormParity:
    """Agreement of the SavedModel with `headstart predict` on original files of one form.

    Attributes:
        files: Number of files of the form in the data.
        asked: Number of files that were compared.
        read: Number of these that the SavedModel can read; for others it returns an empty label.
        largest_difference: Largest difference of a probability, on files that it can read.
    """

    files: int
    asked: int
    read: int
    largest_difference: float


@dataclasses.dataclass(frozen=True)
class Parity:
    """Result of the parity gate.

    Attributes:
        saved_model: Agreement of the SavedModel with the evaluation.
        tolerance: Largest allowed difference of a probability.
        on_the_boundary: Number of images with another label whose two likeliest classes are within twice the
            tolerance of each other in the evaluation.
        test_images: Number of test images.
        seed: Random seed of the sample, if not all test images were compared.
        forms: Agreement on original files by file form; empty for a dataset without original files.
    """

    saved_model: Agreement
    tolerance: float
    on_the_boundary: int
    test_images: int
    seed: int
    forms: dict[str, FileFormParity] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sample:
    """Test images on which exported models are compared, with the evaluated predictions.

    Attributes:
        dataset: Dataset artifact of the test set.
        of: Number of images in the test set.
        rows: Rows of the sampled images, (n,), ascending.
        ids: Ids of the images, (n,).
        paths: Paths of the images in their source, (n,).
        classes: Class names.
        probabilities: Evaluated probabilities after temperature scaling, (n, classes).
        predicted: Index of the likeliest class of each image, (n,).
    """

    dataset: Path
    of: int
    rows: NDArray[np.int64]
    ids: list[str]
    paths: list[str]
    classes: list[str]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]


def draw_sample(test: Path, evaluated: Predictions, temperature: float, most: int = MAX_SAMPLE) -> Sample:
    """Draws the test images to compare on: all, or a random sample.

    Args:
        test: Dataset artifact of the test set.
        evaluated: Predictions of the evaluated model for it.
        temperature: Temperature of the calibration.
        most: Largest size of the sample.
    """
    images = len(evaluated.ids)
    rows = np.arange(images)
    if images > most:
        rows = np.sort(np.random.default_rng(SAMPLE_SEED).choice(images, most, replace=False))
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


def measure_agreement(sample: Sample, predicted: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Agreement:
    """Measures the agreement of predictions with the evaluated ones.

    Args:
        sample: Test images with the evaluated predictions.
        predicted: Indices of the predicted classes, (n,).
        probabilities: Probabilities, (n, classes).
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
class ServedPredictions:
    """Predictions of a SavedModel for encoded images.

    Attributes:
        labels: Class names, (n,); empty for images that it cannot read.
        probabilities: Probabilities, (n, classes).
    """

    labels: NDArray[np.object_]
    probabilities: NDArray[np.float64]


def check_parity(sample: Sample, served: ServedPredictions, tolerance: float) -> Parity:
    """Compares the predictions of a SavedModel with the evaluated ones.

    Args:
        sample: Test images with the evaluated predictions.
        served: Predictions of the SavedModel for them.
        tolerance: Largest allowed difference of a probability.

    Raises:
        HeadstartError: If a label is missing or another one, or a probability differs by more than the tolerance.
    """
    labels, probabilities = served.labels, served.probabilities
    largest = np.abs(probabilities - sample.probabilities).max(axis=1)
    names = np.array(sample.classes, object)
    other = labels != names[sample.predicted]
    top = np.sort(sample.probabilities, axis=1)[:, -2:]
    undecided = other & (top[:, 1] - top[:, 0] <= 2 * tolerance)
    # NaN compares as False.
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
    parity = Parity(
        measure_agreement(sample, predicted, probabilities), tolerance, int(undecided.sum()), sample.of, SAMPLE_SEED
    )
    event("parity", form="saved_model", **dataclasses.asdict(parity.saved_model))
    return parity


def _run_server_process(order: dict[str, Any], errors: Path, what: str = "checking SavedModel") -> int:
    """Runs `saved_model_process` to its end and returns its exit status; it also ends when this process does.

    Its standard output, the size of each batch that it has predicted, becomes progress.

    Args:
        order: Values that the process reads.
        errors: File that receives its standard error.
        what: Name of this phase in the log.
    """
    with (
        errors.open("wb") as file,
        subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", saved_model_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            # The accelerator belongs to this process, and a server may have none.
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - for the type checker
        try:
            # A process that has ended gives the reason in its output. The process ends when the pipe closes.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
            log_phase("loading SavedModel")
            # TensorFlow may write there, too.
            sizes = (int(line) for line in process.stdout if line.strip().isdigit())
            if first := next(sizes, 0):
                every = itertools.chain([first], sizes)
                for _ in track_progress(every, what, len(order["rows"]), int):
                    pass
            return process.wait()
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def check_file_forms(
    saved_model: Path, dataset: Path, model: "keras.Model", info: ModelInfo, temperature: float, tolerance: float
) -> dict[str, FileFormParity]:
    """Compares a SavedModel with `headstart predict` on original files, by file form.

    Images above the dataset's `max_side` are not reduced first; the card states that difference.

    Args:
        saved_model: Folder of the SavedModel.
        dataset: Dataset artifact with `originals.table`, or without.
        model: Classifier that the SavedModel was made from.
        info: Content of its `model.json`.
        temperature: Temperature of the calibration.
        tolerance: Largest allowed difference of a probability.

    Returns:
        Agreement by file form; empty for a dataset without original files.

    Raises:
        HeadstartError: If a label is another one, or a probability differs by more than the tolerance.
    """
    from headstart.components.core.networks.classifier import remove_resizing, to_probabilities

    originals = read_originals(dataset)
    # Decoded and resized one by one, as all images in full size would fill the memory.
    pixels = {row: one for row, each in enumerate(originals) if (one := _read_pixels(each.content, info)) is not None}
    if not pixels:
        return {}
    network = remove_resizing(model)
    expected = apply_temperature(
        to_probabilities(network(np.stack(list(pixels.values())), training=False).numpy()), temperature
    )
    _, served = _predict_rows(saved_model, [dataset / ORIGINALS], list(pixels), "checking file forms")
    largest = np.abs(served.probabilities - expected).max(axis=1)
    ordered = np.sort(expected, axis=1)
    unsure = ordered[:, -1] - ordered[:, -2] <= 2 * tolerance
    names = np.array(info.classes, object)[expected.argmax(axis=1)]
    found: dict[str, FileFormParity] = {}
    for at, row in enumerate(pixels):
        original, label = originals[row], served.labels[at]
        if label and not (largest[at] <= tolerance and (label == names[at] or unsure[at])):
            raise HeadstartError(
                f"nothing is published: the exported model predicts {quote_name(label)} for {original.path} "
                f"({original.form}) where `headstart predict` predicts {quote_name(names[at])}; a probability is "
                f"off by {largest[at]:.4f} (tolerance {tolerance})"
            )
        before = found.get(original.form, FileFormParity(original.files, 0, 0, 0.0))
        found[original.form] = FileFormParity(
            files=original.files,
            asked=before.asked + 1,
            read=before.read + bool(label),
            largest_difference=max(before.largest_difference, float(largest[at]) if label else 0.0),
        )
    unread = [form for form, each in found.items() if each.read < each.asked]
    event("forms", forms=len(found), unread=", ".join(unread))
    return found


def _read_pixels(content: bytes, info: ModelInfo) -> NDArray[np.float32] | None:
    """Pixels of a file as `headstart predict` reads them, except for `max_side`; None if it cannot be read."""
    decoded = decode_image(content, 0, info.ranges)
    return resize_pixels(decoded.pixels, info.image_size) if isinstance(decoded, DecodedImage) else None


def run_saved_model(saved_model: Path, sample: Sample) -> ServedPredictions:
    """Runs a SavedModel on encoded test images, in a process without this package.

    Args:
        saved_model: Folder of the SavedModel.
        sample: Test images.

    Raises:
        HeadstartError: If the SavedModel fails, or the sample is of another test set.
    """
    shards = [sample.dataset / shard for shard in read_dataset_info(sample.dataset).shards]
    ids, served = _predict_rows(saved_model, shards, sample.rows.tolist())
    if ids != sample.ids:
        raise HeadstartError(f"the test set {sample.dataset} is not the one of the evaluation; pass those of one run")
    return served


def _predict_rows(
    saved_model: Path, shards: list[Path], rows: list[int], what: str = "checking SavedModel"
) -> tuple[list[str], ServedPredictions]:
    """Ids and predictions of rows of Parquet files, see `saved_model_process`."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        predictions = Path(folder) / "predictions.parquet"
        order = {
            "path": [path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir()],
            "package": _PACKAGE,
            "saved_model": str(saved_model),
            "shards": list(map(str, shards)),
            "rows": rows,
            "batch": _BATCH,
            "predictions": str(predictions),
        }
        errors = Path(folder) / "stderr"
        status = _run_server_process(order, errors, what)
        if status:
            lines = errors.read_text(errors="replace").strip().splitlines() or [f"it ended with exit status {status}"]
            raise HeadstartError(f"nothing is published: the exported model does not answer ({lines[-1]})")
        table = pq.read_table(predictions)
    probabilities = np.array(table["probabilities"].to_pylist(), np.float64).reshape(len(table), -1)
    return table["id"].to_pylist(), ServedPredictions(np.array(table["label"].to_pylist(), object), probabilities)
