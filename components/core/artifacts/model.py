"""The model artifact: a folder of `model.keras`, `model.json`, and Parquet files of what the model has seen."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from headstart.components.core.artifacts.cross_validation import CROSS_VALIDATION
from headstart.components.core.artifacts.dataset import (
    hash_user_group,
    read_columns,
    read_dataset_info,
    read_user_groups,
)
from headstart.components.core.artifacts.history import HISTORY
from headstart.components.core.artifacts.predictions import (
    UNFAMILIARITY,
    probability_columns,
    read_probabilities,
    read_unfamiliarity,
)
from headstart.components.core.images.sample_ranges import CheckedRange
from headstart.components.core.storage.atomic import complete_folder
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import WAY_OUT_OF_CACHE, Count, Finite, Names, read_manifest
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.core.util.errors import HeadstartError

MODEL = "model.keras"
MODEL_JSON = "model.json"
SEEN = "seen.parquet"
"""Ids of the images that the model, or a model it was initialised from, was trained or tuned on."""

REFERENCE = "reference.parquet"
"""Features of some training images, see `core.artifacts.reference`; models of earlier versions have none."""

VALIDATION_PREDICTIONS = "answers.parquet"
"""Predictions of the model for its validation images: `id`, `probability_NAME` (float64) for each class, and
`unfamiliarity` (float64)."""

HELD_OUT_PREDICTIONS = "held_out.parquet"
"""The same of the images that the model of a cross-validation's fold predicts, in no other model."""

MODEL_FORMAT = "headstart-model/2"

FINE_TUNED_SHARE = "fine_tuned_share"
"""Key of `ModelInfo.metrics`: share of the fine-tuned weights in the weight interpolation; 0: those of the head."""

RIDGE_HEAD = "ridge_head"
"""Key of `ModelInfo.metrics`: 1 if the head has the weights of ridge regression, as no epoch was better."""

LARGEST_IMAGE = 8_192
"""Limit of the side in pixels that a network resizes images to; one image then takes 800 MB."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Content of `model.json`.

    Attributes:
        stage: Training phase: ``head``, ``fine_tuning`` or ``from_scratch``.
        classes: Class names in the order of the model's probabilities.
        image_size: Side in pixels that the model resizes images to.
        backbone: Name of the backbone, and of its layer in the model.
        recipe: Complete recipe, without secrets in the address of weights: with the same data and seed, a recipe file
            of it trains the same model again.
        dataset: Digests of the training and the validation set.
        metrics: Metrics on the validation set.
        versions: Versions of Python, TensorFlow, Keras and this package.
        seed: Random seed of the training.
        backbone_sha256: Digest of the pretrained weights; empty: there were none.
        parent: SHA-256 of the `model.keras` that it was initialised from; empty: there was none.
        sha256: SHA-256 of its own `model.keras`.
        max_side: Longest side in pixels to which larger images were reduced before training; 0: none were.
        seconds: Training time, with that of the models it was initialised from and of resumed epochs.
        accelerators: Number of accelerators that the training process had, used or not.
        parameters: Number of weights of the network, trained or not.
        ranges: Black and white of each form of deep images, as in the training set, see `core.images.sample_ranges`;
            None: an earlier version trained the model.
        class_counts: Number of training and of validation images of each class, under ``train`` and ``validation``;
            empty: an earlier version trained the model.
        reference_sha256: SHA-256 of its `reference.parquet`; empty: an earlier version trained the model.
        reference_images: Number of images in `reference.parquet`.
        neighbours: Rank of the nearest reference image that the unfamiliarity is the distance to.
        folds: Number of cross-validation folds that chose its epochs and predicted its training images; 0: there was
            no cross-validation.
        cross_validation_sha256: SHA-256 of its `cross_validation.parquet`; empty: there was no cross-validation.
        weights_licence: Licence of the pretrained weights as their publishers state it, an SPDX identifier; empty:
            there were none, it is not known, or an earlier version trained the model.
    """

    stage: str
    classes: Annotated[Names, Field(min_length=2)]
    image_size: Annotated[int, Field(ge=1, le=LARGEST_IMAGE)]
    backbone: str
    recipe: dict[str, Any]
    dataset: dict[str, str]
    metrics: dict[str, Finite]
    versions: dict[str, str]
    seed: int
    backbone_sha256: str = ""
    parent: str = ""
    sha256: str = ""
    max_side: Count = 0
    seconds: Annotated[Finite, Field(ge=0)] = 0.0
    accelerators: Count = 0
    parameters: Count = 0
    ranges: dict[str, CheckedRange] | None = None
    class_counts: dict[str, dict[str, Count]] = dataclasses.field(default_factory=dict)
    reference_sha256: str = ""
    reference_images: Count = 0
    neighbours: Count = 0
    folds: Count = 0
    cross_validation_sha256: str = ""
    weights_licence: str = ""

    @property
    def output_classes(self) -> list[str]:
        """Class whose probability each output of the network is: of two classes, the second alone."""
        return self.classes[1:] if len(self.classes) == 2 else self.classes

    def as_json(self) -> dict[str, Any]:
        """All fields, and `output_classes` after them."""
        return {**dataclasses.asdict(self), "output_classes": self.output_classes}


def list_model_files(info: ModelInfo) -> list[str]:
    """Names of the files that using a model takes, the manifest last."""
    return [MODEL, HISTORY, SEEN, *_list_optional_files(info), MODEL_JSON]


def _list_optional_files(info: ModelInfo) -> dict[str, str]:
    """SHA-256 of each file that only some models have."""
    digests = {REFERENCE: info.reference_sha256, CROSS_VALIDATION: info.cross_validation_sha256}
    return {name: sha256 for name, sha256 in digests.items() if sha256}


def write_seen(folder: Path, datasets: list[Path], parent: Path | None = None) -> None:
    """Writes `seen.parquet` with one column `id`: the ids of the images, and the hashed names of the user's groups.

    Args:
        folder: Folder of the model.
        datasets: Dataset artifacts that it was trained or tuned on.
        parent: Folder of the model that it was initialised from, whose images count, too; None: there is none.
    """
    ids = set(read_seen(parent)) if parent else set()
    for dataset in datasets:
        ids.update(read_columns(dataset, ["id"])["id"].to_pylist())
        ids.update(map(hash_user_group, filter(None, read_user_groups(dataset))))
    # zstd halves hashes written as letters; a dictionary of values that never repeat would only add bytes.
    table = pa.table({"id": pa.array(sorted(ids), pa.string())})
    pq.write_table(table, folder / SEEN, compression="zstd", use_dictionary=False)


def read_seen(folder: Path) -> frozenset[str]:
    """Reads the ids of the images that a model was trained or tuned on, and the hashed names of the user's groups.

    Raises:
        HeadstartError: If the file is damaged.
    """
    try:
        return frozenset(pq.read_table(folder / SEEN)["id"].to_pylist())
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{folder / SEEN} is damaged ({error}); train the model again") from None


@dataclasses.dataclass(frozen=True)
class ValidationPredictions:
    """Predictions of a model for its validation images.

    Attributes:
        probabilities: Class probabilities, (images, classes), in the order of the dataset.
        unfamiliarity: Unfamiliarities, (images,); None: an earlier version trained the model.
    """

    probabilities: NDArray[np.float64]
    unfamiliarity: NDArray[np.float64] | None = None


def write_validation_predictions(
    folder: Path, validation: Path, predictions: ValidationPredictions, name: str = VALIDATION_PREDICTIONS
) -> None:
    """Writes `answers.parquet`, so that the validation images need not be predicted again.

    Args:
        folder: Folder of the model.
        validation: Validation set, a dataset artifact.
        predictions: Predictions for its images.
        name: Name of the file.
    """
    columns = probability_columns(read_dataset_info(validation).classes, predictions.probabilities)
    if predictions.unfamiliarity is not None:
        columns[UNFAMILIARITY] = predictions.unfamiliarity
    pq.write_table(pa.table({"id": read_columns(validation, ["id"])["id"], **columns}), folder / name)


def read_validation_predictions(
    folder: Path, dataset: Path, name: str = VALIDATION_PREDICTIONS
) -> ValidationPredictions | None:
    """Reads the predictions of a model for its validation images.

    Args:
        folder: Folder of the model.
        dataset: Dataset artifact.
        name: Name of the file.

    Returns:
        The predictions; None if the images of the dataset are not the model's validation images, or there are none.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (folder / name).is_file():
        return None
    try:
        table = pq.read_table(folder / name)
        if table["id"].to_pylist() != read_columns(dataset, ["id"])["id"].to_pylist():
            return None
        return ValidationPredictions(
            read_probabilities(table, read_dataset_info(dataset).classes), read_unfamiliarity(table)
        )
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{folder / name} is damaged ({error}); train the model again") from None


def write_model_info(folder: Path, info: ModelInfo) -> None:
    """Writes `model.json`, which completes the artifact and so comes last."""
    sealed = dataclasses.replace(
        info,
        sha256=sha256_of_file(folder / MODEL),
        reference_sha256=_sha256_if_there(folder / REFERENCE),
        cross_validation_sha256=_sha256_if_there(folder / CROSS_VALIDATION),
    )
    complete_folder(folder, MODEL_JSON, {"format": MODEL_FORMAT, **sealed.as_json()})


def _sha256_if_there(path: Path) -> str:
    return sha256_of_file(path) if path.is_file() else ""


def read_model_info(folder: Path) -> ModelInfo:
    """Reads `model.json` and checks that the other files are there, and network and reference features unchanged.

    Raises:
        HeadstartError: If the folder is not a complete model artifact, or a file was changed.
    """
    info = read_model_manifest(folder)
    for name in list_model_files(info):
        if not (folder / name).is_file():
            raise HeadstartError(f"model {folder} lacks {name}; train the model again; {WAY_OUT_OF_CACHE}")
    digests = {MODEL: info.sha256, **_list_optional_files(info)}
    for name, sha256 in digests.items():
        if sha256_of_file(folder / name) == sha256:
            continue
        raise HeadstartError(
            f"{folder / name} is not the file that {MODEL_JSON} describes; train the model again, or if it is "
            "published, publish it again or roll back"
        )
    return info


def check_champion_classes(address: str, classes: list[str]) -> None:
    """Refuses a champion whose classes differ from those of the data; only its `model.json` is downloaded.

    Args:
        address: Model artifact: a path, or an `http(s)://`, `gs://` or `s3://` address.
        classes: Class names of the images that models are compared on.

    Raises:
        HeadstartError: If the classes differ, or `model.json` cannot be read.
    """
    with download_folder(address, [MODEL_JSON]) as folder:
        found = read_model_manifest(folder).classes
    if sorted(found) != sorted(classes):
        raise HeadstartError(
            f"the model in use, {without_secrets(address)}, has classes {found}, the test images {classes}; "
            "publish to another address, or compare with another model"
        )


def read_model_manifest(folder: Path) -> ModelInfo:
    """Reads `model.json` alone; see `read_model_info`.

    Raises:
        HeadstartError: If it is missing, damaged or of another format.
    """
    return read_manifest(folder / MODEL_JSON, "model", ModelInfo, MODEL_FORMAT)[0]
