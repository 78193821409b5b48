"""The model artifact: a folder of `model.keras`, `model.json`, `history.csv`, `seen.parquet`, `answers.parquet`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from headstart.components.core.artifacts.dataset import read_columns, read_dataset_info
from headstart.components.core.artifacts.history import HISTORY
from headstart.components.core.artifacts.predictions import probability_columns, read_probabilities
from headstart.components.core.images.sample_ranges import CheckedRange
from headstart.components.core.storage.atomic import complete_folder
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import WAY_OUT_OF_CACHE, Count, Finite, Names, read_manifest
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.core.util.errors import HeadstartError

MODEL = "model.keras"
MANIFEST = "model.json"
SEEN = "seen.parquet"
"""Ids of the images that the model, or one it started from, was trained or tuned on."""

VALIDATION_PREDICTIONS = "answers.parquet"
"""What the model says of the images that chose it: `id`, and `probability_NAME` (float64) for each class."""

FORMAT = "headstart-model/2"

LARGEST_IMAGE = 8_192
"""Side in pixels that a network may resize images to: one image is 800 MB then."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What `model.json` says.

    Attributes:
        stage: ``head``, ``fine_tuning`` or ``from_scratch``.
        classes: Class names in the order of the model's probabilities.
        image_size: Side in pixels that the model resizes images to.
        backbone: Name of the backbone, also of its layer in the model.
        recipe: The recipe, complete but for secrets in an address of weights: a recipe file of it makes the model
            again from the same data and seed.
        dataset: Digests of the training and the validation set.
        metrics: Figures on the validation set.
        versions: Of Python, TensorFlow, Keras and this package.
        seed: Of whatever was drawn at random.
        backbone_sha256: Digest of the pretrained weights; empty for none.
        parent: SHA-256 of the `model.keras` that it started from; empty for none.
        sha256: Of its own `model.keras`.
        max_side: Longest side in pixels to which larger pictures were reduced before it saw them; 0: none were.
        seconds: That training it took, with the models it started from and epochs that were taken over.
        accelerators: That the process which trained it saw, at work or not.
        parameters: Weights of the network, those that are not trained among them.
        ranges: Black and white of each form of deep pictures, as the training set has them, see
            `core.images.sample_ranges`; None: the model was trained before there were any.
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


def write_seen(folder: Path, datasets: list[Path], parent: Path | None = None) -> None:
    """Writes `seen.parquet`, one column `id`.

    Args:
        folder: Of the model.
        datasets: Dataset artifacts that it was trained or tuned on.
        parent: Folder of the model that it started from, which saw images too.
    """
    ids = set(read_seen(parent)) if parent else set()
    for dataset in datasets:
        ids.update(read_columns(dataset, ["id"])["id"].to_pylist())
    # Half of what a hash takes in letters; a dictionary of values that never repeat would only add to it.
    table = pa.table({"id": pa.array(sorted(ids), pa.string())})
    pq.write_table(table, folder / SEEN, compression="zstd", use_dictionary=False)


def read_seen(folder: Path) -> frozenset[str]:
    """Ids of the images that a model was trained or tuned on.

    Raises:
        HeadstartError: The file is damaged.
    """
    try:
        return frozenset(pq.read_table(folder / SEEN)["id"].to_pylist())
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{folder / SEEN} is damaged ({error}); train the model again") from None


def write_validation_predictions(folder: Path, validation: Path, answers: NDArray[np.float64]) -> None:
    """Writes `answers.parquet`, so that nobody has to ask the model of its validation images again.

    Args:
        folder: Of the model.
        validation: The dataset artifact that it was chosen by.
        answers: What it says of them, (images, classes), in the dataset's order.
    """
    said = probability_columns(read_dataset_info(validation).classes, answers)
    pq.write_table(pa.table({"id": read_columns(validation, ["id"])["id"], **said}), folder / VALIDATION_PREDICTIONS)


def read_validation_predictions(folder: Path, dataset: Path) -> NDArray[np.float64] | None:
    """What a model said of images when it was chosen by them, (images, classes), in the dataset's order of both.

    Args:
        folder: Of the model.
        dataset: A dataset artifact.

    Returns:
        None where that is not known: the model was chosen by other images.

    Raises:
        HeadstartError: The file is damaged.
    """
    if not (folder / VALIDATION_PREDICTIONS).is_file():
        return None
    try:
        table = pq.read_table(folder / VALIDATION_PREDICTIONS)
        if table["id"].to_pylist() != read_columns(dataset, ["id"])["id"].to_pylist():
            return None
        return read_probabilities(table, read_dataset_info(dataset).classes)
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(
            f"{folder / VALIDATION_PREDICTIONS} is damaged ({error}); train the model again"
        ) from None


def write_model_info(folder: Path, info: ModelInfo) -> None:
    """Writes `model.json`, last of all: it completes the artifact."""
    sealed = dataclasses.replace(info, sha256=sha256_of_file(folder / MODEL))
    complete_folder(folder, MANIFEST, {"format": FORMAT, **dataclasses.asdict(sealed)})


def read_model_info(folder: Path) -> ModelInfo:
    """Reads `model.json` and checks that the model is the one it speaks of.

    Raises:
        HeadstartError: The folder is no finished model artifact, or `model.keras` was changed.
    """
    info = read_model_manifest(folder)
    for name in (MODEL, HISTORY, SEEN):
        if not (folder / name).is_file():
            raise HeadstartError(f"model {folder} lacks {name}; train the model again; {WAY_OUT_OF_CACHE}")
    if sha256_of_file(folder / MODEL) != info.sha256:
        raise HeadstartError(
            f"{folder / MODEL} is not the file that {MANIFEST} speaks of; train the model again, or where it is "
            "published, publish it again or roll back"
        )
    return info


def check_champion_classes(address: str, classes: list[str]) -> None:
    """Refuses a model in use that tells other classes apart than there are now; only its `model.json` is read.

    Args:
        address: Of the model artifact; a path, or an `http(s)://`, `gs://` or `s3://` address.
        classes: Of the images that it is to be compared on.

    Raises:
        HeadstartError: It does, or it cannot be read.
    """
    with download_folder(address, [MANIFEST]) as folder:
        found = read_model_manifest(folder).classes
    if sorted(found) != sorted(classes):
        raise HeadstartError(
            f"the model in use, {without_secrets(address)}, has classes {found}, the test images {classes}; "
            "publish to another address, or compare with another model"
        )


def read_model_manifest(folder: Path) -> ModelInfo:
    """Reads `model.json` alone, see `read_model_info`.

    Raises:
        HeadstartError: If it is missing, damaged or of another format.
    """
    return read_manifest(folder / MANIFEST, "model", ModelInfo, FORMAT)[0]
