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
from headstart.components.core.artifacts.originals import ORIGINALS, Original, read_originals
from headstart.components.core.artifacts.predictions import Predictions, read_unfamiliarity
from headstart.components.core.images.decoding import DecodedImage, decode_image, resize_pixels
from headstart.components.core.metrics.calibration import apply_temperature
from headstart.components.core.metrics.unfamiliarity import flag_unfamiliar
from headstart.components.core.networks import saved_model_process
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, track_progress
from headstart.components.core.util.printable import quote_name

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
        unfamiliarity_difference: Largest difference of an unfamiliarity; None: the SavedModel computes none.
    """

    saved_model: Agreement
    tolerance: float
    on_the_boundary: int
    test_images: int
    seed: int
    forms: dict[str, FileFormParity] = dataclasses.field(default_factory=dict)
    unfamiliarity_difference: float | None = None


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
        unfamiliarity: Evaluated unfamiliarities, (n,); None: the SavedModel computes none.
        threshold: Largest unfamiliarity that is not flagged.
    """

    dataset: Path
    of: int
    rows: NDArray[np.int64]
    ids: list[str]
    paths: list[str]
    classes: list[str]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    unfamiliarity: NDArray[np.float64] | None = None
    threshold: float = 0.0


def draw_sample(
    test: Path,
    evaluated: Predictions,
    temperature: float,
    most: int = MAX_SAMPLE,
    threshold: float | None = None,
) -> Sample:
    """Draws the test images to compare on: all, or a random sample.

    Args:
        test: Dataset artifact of the test set.
        evaluated: Predictions of the evaluated model for it.
        temperature: Temperature of the calibration.
        most: Largest size of the sample.
        threshold: Largest unfamiliarity that is not flagged; None: the SavedModel computes none.
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
        evaluated.unfamiliarity[rows] if threshold is not None and evaluated.unfamiliarity is not None else None,
        threshold or 0.0,
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
        unfamiliarity: Unfamiliarities, (n,); None: it computes none.
        unfamiliar: Whether the images are flagged, (n,); None: likewise.
    """

    labels: NDArray[np.object_]
    probabilities: NDArray[np.float64]
    unfamiliarity: NDArray[np.float64] | None = None
    unfamiliar: NDArray[np.bool_] | None = None

    def take(self, rows: slice) -> "ServedPredictions":
        """The predictions for some of the images."""
        return ServedPredictions(
            self.labels[rows],
            self.probabilities[rows],
            None if self.unfamiliarity is None else self.unfamiliarity[rows],
            None if self.unfamiliar is None else self.unfamiliar[rows],
        )


def check_parity(sample: Sample, served: ServedPredictions, tolerance: float) -> Parity:
    """Compares the predictions of a SavedModel with the evaluated ones.

    Args:
        sample: Test images with the evaluated predictions.
        served: Predictions of the SavedModel for them.
        tolerance: Largest allowed difference of a probability.

    Raises:
        HeadstartError: If a label is missing or another one, a probability or an unfamiliarity differs by more than
            the tolerance, or an image is flagged that was not, or the reverse, and is not within the tolerance of the
            threshold.
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
        measure_agreement(sample, predicted, probabilities),
        tolerance,
        int(undecided.sum()),
        sample.of,
        SAMPLE_SEED,
        unfamiliarity_difference=_check_unfamiliarity(sample, served, tolerance),
    )
    event("parity", form="saved_model", **dataclasses.asdict(parity.saved_model))
    return parity


def _check_unfamiliarity(sample: Sample, served: ServedPredictions, tolerance: float) -> float | None:
    """Compares unfamiliarities, and returns their largest difference; None if there are none."""
    expected = sample.unfamiliarity
    if expected is None:
        return None
    if served.unfamiliarity is None or served.unfamiliar is None:
        raise HeadstartError("nothing is published: the exported model computes no unfamiliarity; publish it again")
    differences = np.abs(served.unfamiliarity - expected)
    flagged = served.unfamiliar != flag_unfamiliar(expected, sample.threshold)
    # NaN compares as False.
    wrong = ~(differences <= tolerance) | (flagged & (np.abs(expected - sample.threshold) > tolerance))
    if wrong.any():
        worst = int(np.where(wrong, differences, -1).argmax())
        raise HeadstartError(
            f"nothing is published: the exported model disagrees with the evaluated one on the unfamiliarity of "
            f"{wrong.sum()} of {len(wrong)} test images, most on {sample.paths[worst]}: "
            f"{served.unfamiliarity[worst]:.4f} where {expected[worst]:.4f} was evaluated (tolerance {tolerance}, "
            f"threshold {sample.threshold:.4f}); pass the model, evaluation and test set of one run"
        )
    return float(differences.max())


def _run_server_process(order: dict[str, Any], errors: Path) -> int:
    """Runs `saved_model_process` to its end and returns its exit status; it also ends when this process does.

    Its standard output, the size of each batch that it has predicted, becomes progress.

    Args:
        order: Values that the process reads.
        errors: File that receives its standard error.
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
                for _ in track_progress(every, "checking SavedModel", len(order["rows"]), int):
                    pass
            return process.wait()
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


@dataclasses.dataclass(frozen=True)
class ReadOriginals:
    """Original files of a test set that `headstart predict` can read.

    Images above the dataset's `max_side` are not reduced first; the model card states that difference.

    Attributes:
        dataset: Dataset artifact of the test set.
        rows: Rows of the files in `originals.table`, (n,), ascending.
        files: The files, (n,).
        pixels: Pixels at the model's image size as `headstart predict` reads them, (n, height, width, 3).
    """

    dataset: Path
    rows: list[int]
    files: list[Original]
    pixels: NDArray[np.float32]


def read_original_pixels(dataset: Path, info: ModelInfo) -> ReadOriginals:
    """Reads and decodes the original files of a dataset; none for a dataset without `originals.table`.

    Args:
        dataset: Dataset artifact of the test set.
        info: Content of the model's `model.json`.
    """
    # Decoded and resized one by one, as all images in full size would fill the memory.
    read = {
        row: (each, pixels)
        for row, each in enumerate(read_originals(dataset))
        if (pixels := _read_pixels(each.content, info)) is not None
    }
    size = info.image_size
    pixels = np.array([pixels for _, pixels in read.values()], np.float32).reshape(-1, size, size, 3)
    return ReadOriginals(dataset, list(read), [each for each, _ in read.values()], pixels)


def check_file_forms(
    originals: ReadOriginals,
    served: ServedPredictions,
    model: "keras.Model",
    classes: list[str],
    temperature: float,
    tolerance: float,
) -> dict[str, FileFormParity]:
    """Compares a SavedModel with `headstart predict` on original files, by file form.

    Args:
        originals: Original files of the test set.
        served: Predictions of the SavedModel for them.
        model: Classifier that the SavedModel was made from.
        classes: Class names.
        temperature: Temperature of the calibration.
        tolerance: Largest allowed difference of a probability.

    Returns:
        Agreement by file form; empty for a dataset without original files.

    Raises:
        HeadstartError: If a label is another one, or a probability differs by more than the tolerance.
    """
    from headstart.components.core.networks.classifier import remove_resizing, to_probabilities

    if not originals.files:
        return {}
    expected = apply_temperature(
        to_probabilities(remove_resizing(model)(originals.pixels, training=False).numpy()), temperature
    )
    largest = np.abs(served.probabilities - expected).max(axis=1)
    ordered = np.sort(expected, axis=1)
    unsure = ordered[:, -1] - ordered[:, -2] <= 2 * tolerance
    names = np.array(classes, object)[expected.argmax(axis=1)]
    found: dict[str, FileFormParity] = {}
    for at, original in enumerate(originals.files):
        label = served.labels[at]
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


def run_saved_model(
    saved_model: Path, sample: Sample, originals: ReadOriginals | None = None
) -> tuple[ServedPredictions, ServedPredictions]:
    """Runs a SavedModel on encoded test images and original files, in one process without this package.

    Args:
        saved_model: Folder of the SavedModel.
        sample: Test images.
        originals: Original files; None: none.

    Returns:
        Predictions for the test images, and for the original files.

    Raises:
        HeadstartError: If the SavedModel fails, or the sample is of another test set.
    """
    files = [sample.dataset / shard for shard in read_dataset_info(sample.dataset).shards]
    rows = sample.rows.tolist()
    if originals is not None and originals.rows:
        # They are read after the test images, and numbered on.
        files.append(originals.dataset / ORIGINALS)
        rows += [sample.of + row for row in originals.rows]
    ids, served = _predict_rows(saved_model, files, rows)
    images = len(sample.ids)
    if ids[:images] != sample.ids:
        raise HeadstartError(f"the test set {sample.dataset} is not the one of the evaluation; pass those of one run")
    return served.take(slice(images)), served.take(slice(images, None))


def _predict_rows(saved_model: Path, files: list[Path], rows: list[int]) -> tuple[list[str], ServedPredictions]:
    """Ids and predictions of rows of Parquet files, see `saved_model_process`."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        predictions = Path(folder) / "predictions.parquet"
        order = {
            "path": [path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir()],
            "package": _PACKAGE,
            "saved_model": str(saved_model),
            "shards": list(map(str, files)),
            "rows": rows,
            "batch": _BATCH,
            "predictions": str(predictions),
        }
        errors = Path(folder) / "stderr"
        status = _run_server_process(order, errors)
        if status:
            lines = errors.read_text(errors="replace").strip().splitlines() or [f"it ended with exit status {status}"]
            raise HeadstartError(f"nothing is published: the exported model does not answer ({lines[-1]})")
        table = pq.read_table(predictions)
    probabilities = np.array(table["probabilities"].to_pylist(), np.float64).reshape(len(table), -1)
    unfamiliarity = read_unfamiliarity(table)
    return table["id"].to_pylist(), ServedPredictions(
        np.array(table["label"].to_pylist(), object),
        probabilities,
        unfamiliarity,
        None if unfamiliarity is None else np.array(table["unfamiliar"].to_pylist(), bool),
    )
