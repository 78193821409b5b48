"""Reference features of a model: features of some training images, to which those of new images are compared.

`reference.parquet` in the model's folder has a row for each image and one column: `features`, a
list of as many float16 as the output layer gets, scaled to length 1. Pixels, ids and labels are not in it.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headstart.components.core.artifacts.model import REFERENCE, ModelInfo
from headstart.components.core.util.errors import HeadstartError

MOST_VALUES = 8_000_000
"""Most numbers that a reference has, two bytes each."""

_COLUMN = "features"
_LONGEST = 1.01
"""Largest length of a vector of length 1 after rounding to 16 bits."""


@dataclasses.dataclass(frozen=True)
class ReferenceFeatures:
    """Features of training images, and how new ones are compared with them; it holds no pixels and no names.

    Attributes:
        features: Activations that the output layer gets, each image's scaled to length 1, float32 (images, features).
        neighbours: Rank of the nearest reference image that the unfamiliarity is the distance to; 1: the nearest.
    """

    features: NDArray[np.float32]
    neighbours: int


def write_reference(folder: Path, reference: ReferenceFeatures) -> None:
    """Writes `reference.parquet` into the folder of a model: one column `features`, lists of float16."""
    values = pa.array(reference.features.astype(np.float16).ravel(), pa.float16())
    column = pa.FixedSizeListArray.from_arrays(values, reference.features.shape[1])
    pq.write_table(pa.table({_COLUMN: column}), folder / REFERENCE, compression="zstd", use_dictionary=False)


def read_reference(folder: Path, info: ModelInfo) -> ReferenceFeatures | None:
    """Reads the reference features of a model.

    Args:
        folder: Model artifact, as `read_model_info` has checked it.
        info: Content of its `model.json`.

    Returns:
        The reference; None if an earlier version trained the model, which then has none.

    Raises:
        HeadstartError: If the file is damaged, or is not what `model.json` describes.
    """
    if not info.reference_sha256:
        return None
    path = folder / REFERENCE
    try:
        features = _read_features(path, info.reference_images)
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        raise HeadstartError(f"{path} is damaged ({error}); train the model again") from None
    if not 1 <= info.neighbours <= len(features):
        raise HeadstartError(
            f"{path} has {len(features)} images, and model.json compares with the {info.neighbours} nearest; train "
            "the model again"
        )
    return ReferenceFeatures(features, info.neighbours)


def _read_features(path: Path, images: int) -> NDArray[np.float32]:
    # The size is known before anything is unpacked.
    with pq.ParquetFile(path) as file:
        kind = file.schema_arrow.field(_COLUMN).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float16():
            raise ValueError(f"its features are {kind}")
        if file.metadata.num_rows != images:
            raise ValueError(f"it has {file.metadata.num_rows} images and should have {images}")
        if not 0 < images * kind.list_size <= MOST_VALUES:
            raise ValueError(f"it has {images * kind.list_size:,} numbers")
        column = file.read([_COLUMN])[_COLUMN].combine_chunks()
    if column.null_count or column.flatten().null_count:
        raise ValueError("features are missing")
    features = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(images, kind.list_size)
    # NaN compares as False.
    if not (np.linalg.norm(features, axis=1) <= _LONGEST).all():
        raise ValueError("features are NaN or not of length 1")
    return np.asarray(features)
