"""Cached features of the images of a training job, which may be parts of a larger dataset."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.dataset import read_columns
from headstart.components.core.features.cache import (
    IntermediateFeatures,
    compute_or_load_features,
    compute_or_load_whole,
)
from headstart.components.core.features.compute import Features
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError


class JobFeatures(NamedTuple):
    """Features of the images of a training job.

    Attributes:
        train: Features of the training set, in all views.
        validation: Features of the validation set, which may have no images.
        held_out: Features of the images that the trained model predicts; None: there are none.
    """

    train: Features
    validation: Features
    held_out: Features | None = None


@contextlib.contextmanager
def open_job_features(
    front: keras.Model,
    inputs: TrainingInputs,
    plan: Plan,
    uri: str = "",
    intermediate: IntermediateFeatures | None = None,
) -> Iterator[JobFeatures]:
    """Loads the features of a job's images from the cache, or computes and caches them.

    Where the images are parts of a larger dataset, its features are computed once, and each part is a selection.

    Args:
        front: Frozen part of the network: resized pixels (n, size, size, 3), 0-255, to activations.
        inputs: Datasets of the job.
        plan: Views, augmentation, seed and determinism.
        uri: Folder, or `gs://` or `s3://` address, where machines share features; empty: none.
        intermediate: Features to cache in the same pass for a later phase; None: none.

    Raises:
        HeadstartError: If there is no room for the features anywhere, or a part has images that the whole lacks.
    """
    if inputs.whole is None:
        sets = (inputs.train, inputs.validation)
        with compute_or_load_features(front, *sets, plan, uri, intermediate) as features:
            yield JobFeatures(*features)
        return
    with compute_or_load_whole(front, inputs.whole, plan, uri, intermediate) as features:
        parts = [inputs.train, inputs.validation, *([inputs.held_out] if inputs.held_out else [])]
        yield JobFeatures(*(features.select(_find_rows(inputs.whole, part)) for part in parts))


def _find_rows(whole: Path, part: Path) -> NDArray[np.int64]:
    """Rows of the images of a part in the whole dataset, (n,)."""
    row_of = {image: row for row, image in enumerate(read_columns(whole, ["id"])["id"].to_pylist())}
    ids = read_columns(part, ["id"])["id"].to_pylist()
    missing = [image for image in ids if image not in row_of]
    if missing:
        raise HeadstartError(
            f"{part} is no part of {whole}: it alone has the image {missing[0]}; pass data of one split"
        )
    return np.array([row_of[image] for image in ids], np.int64)
