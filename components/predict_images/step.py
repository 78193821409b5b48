"""Predicts the classes of images with a given model or the champion."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.artifacts.reference import read_reference
from headstart.components.core.registry.model_files import ModelFiles, download_model
from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.predict_images.applied_calibration import read_calibration
from headstart.components.predict_images.given_images import find_given_images
from headstart.components.predict_images.named_images import NamedImage, count_images, find_images
from headstart.components.predict_images.predict import (
    UNCERTAIN,
    LoadNetwork,
    OpenedModel,
    Predictor,
    load_network,
    log_warning,
    predict,
)
from headstart.components.predict_images.prediction_counts import PredictionCounts

__all__ = [
    "UNCERTAIN",
    "NamedImage",
    "OpenedModel",
    "PredictionInputs",
    "Predictor",
    "Writer",
    "check_paths",
    "count_images",
    "load_network",
    "open_model",
    "predict_given",
    "predict_images",
    "predict_to_file",
    "write_parquet",
]

_ROW_GROUP = 16_384

Writer = Callable[[Iterable[pa.RecordBatch], pa.Schema, BinaryIO], None]
"""Function that writes batches of predictions with the columns of a schema to a file."""


@dataclasses.dataclass(frozen=True)
class PredictionInputs:
    """Images to predict and the model that predicts them.

    Attributes:
        images: Files, folders, dataset artifacts, patterns and addresses, see `find_images`.
        model: Folder of the model artifact; None: `address` names the model.
        evaluation: Folder of the model's evaluation; None: probabilities are not calibrated.
        address: Address of the model, see `download_model`; empty: `model` is given.
        precision: Wanted share of correct predictions, see `read_calibration`.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
    """

    images: Sequence[str]
    model: Path | None = None
    evaluation: Path | None = None
    address: str = ""
    precision: float = 0.0
    image_column: str = ""


@explain_full_disk()
def predict_images(inputs: PredictionInputs, predictions: Path) -> PredictionCounts:
    """Predicts images and writes the predictions; an unreadable image is listed with the reason and stops no other.

    Args:
        inputs: Images and model.
        predictions: Parquet file to write, one row an image, see `OpenedModel.schema`.

    Raises:
        HeadstartError: If no image is named or none can be read, or the model is missing, damaged, or has no
            threshold for the precision. If none can be read, the file has the reasons.
    """
    start_logging()
    if not inputs.images:
        raise HeadstartError("no images are named; pass a dataset, or paths and addresses")
    check_paths(inputs.images)
    if bool(inputs.model) == bool(inputs.address):
        raise HeadstartError("pass a model artifact or the address of a model, one of the two")
    predictions.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = (
            ModelFiles(inputs.model, inputs.evaluation)
            if inputs.model
            else stack.enter_context(download_model(inputs.address))
        )
        model = open_model(files, inputs.precision)
        calibration = model.calibration
        event("model", stage=model.info.stage, calibrated=calibration.calibrated, threshold=calibration.threshold)
        file = stack.enter_context(open_atomic(predictions))
        counts = predict_to_file(model, inputs.images, file, image_column=inputs.image_column)
    reasons = {reason.replace(" ", "_"): number for reason, number in counts.unreadable.items()}
    event("predictions", images=counts.images, abstained=counts.abstained, unfamiliar=counts.unfamiliar, **reasons)
    if counts.passed_over:
        event("passed_over", files=counts.passed_over, first=counts.first_passed_over[0])
    if counts.unreadable.total() == counts.images:
        raise HeadstartError(f"no image could be read: {counts.in_words()}; {counts.first}; check what is named")
    return counts


def check_paths(paths: Sequence[str]) -> None:
    """Refuses an empty path, which a shell variable easily is, and which would mean the current folder.

    Raises:
        HeadstartError: If a path is empty.
    """
    if "" in paths:
        raise HeadstartError("path '' names no image; name a file, a folder (. for this one), or an address")


def open_model(files: ModelFiles, precision: float) -> OpenedModel:
    """Reads manifest, calibration and reference features of a model, without its network.

    Args:
        files: Folders of the model and its evaluation.
        precision: Wanted share of correct predictions, see `read_calibration`.

    Raises:
        HeadstartError: If the model is incomplete or damaged, or has no threshold for the precision.
    """
    info = read_model_info(files.model)
    calibration = read_calibration(files, info, precision)
    return OpenedModel(files.model, info, calibration, read_reference(files.model, info))


def write_parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> None:
    """Writes predictions as Parquet, in row groups of some thousand images."""
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(map(len, waiting)) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema))


def predict_to_file(
    model: OpenedModel,
    paths: Iterable[str],
    file: BinaryIO,
    write: Writer = write_parquet,
    image_column: str = "",
    warn: Callable[[str], None] = log_warning,
    total: int = 0,
) -> PredictionCounts:
    """Finds and predicts images and writes their predictions as they come.

    Args:
        model: The model.
        paths: Paths and addresses of images, see `find_images`.
        file: Open file to write.
        write: Function that writes the format of the file.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
        warn: Function that gets a warning for the first images with hardly any contrast.
        total: Number of images, for the progress in the log; 0: unknown.

    Returns:
        Counts of the predictions.
    """
    counts = PredictionCounts()
    with contextlib.ExitStack() as opened:
        images = find_images(paths, opened, image_column, counts.pass_over)
        write(counts.count(predict(model, images, warn, total)), model.schema, file)
    return counts


def predict_given(
    model: OpenedModel,
    images: Sequence[object],
    image_column: str = "",
    warn: Callable[[str], None] = log_warning,
    load: LoadNetwork | None = None,
) -> tuple[pa.Table, PredictionCounts]:
    """Predicts images that are named by paths or given as values in memory.

    Args:
        model: The model.
        images: Paths and addresses, encoded files, arrays and Pillow images, see `find_given_images`.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
        warn: Function that gets a warning for the first images with hardly any contrast.
        load: Function that loads the network, see `predict`.

    Returns:
        Predictions with the columns of `OpenedModel.schema`, in the order of the images, and their counts.

    Raises:
        HeadstartError: If one of the images is of a kind that cannot be read, or Keras cannot load the network.
    """
    counts = PredictionCounts()
    paths = [each for each in images if isinstance(each, str)]
    total = count_images(paths) + len(images) - len(paths)
    with contextlib.ExitStack() as opened:
        found = find_given_images(images, opened, image_column, counts.pass_over)
        batches = list(counts.count(predict(model, found, warn, total, load)))
    return pa.Table.from_batches(batches, model.schema), counts
