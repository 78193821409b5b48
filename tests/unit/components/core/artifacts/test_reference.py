"""Reference features come back as they were written, and a damaged or foreign file is an error of one line."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.components.core.artifacts.model import (
    REFERENCE,
    ModelInfo,
    list_model_files,
    read_model_info,
    read_validation_predictions,
)
from headstart.components.core.artifacts.reference import (
    MOST_VALUES,
    ReferenceFeatures,
    read_reference,
    write_reference,
)
from headstart.components.core.metrics.unfamiliarity import compute_unfamiliarity, scale_to_unit_length
from headstart.components.core.util.errors import HeadstartError

INFO = ModelInfo(
    *("head", ["cat", "dog"], 64, "sketchnet", {}, {}, {}, {}, 0),
    reference_sha256="0" * 64,
    reference_images=6,
    neighbours=5,
)


def drawn(images: int = 6, width: int = 4) -> ReferenceFeatures:
    features = scale_to_unit_length(np.random.default_rng(0).random((images, width)))
    return ReferenceFeatures(features.astype(np.float16).astype(np.float32), 5)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    reference = drawn()
    write_reference(tmp_path, reference)
    read = read_reference(tmp_path, INFO)
    assert read is not None and read.neighbours == 5
    assert np.array_equal(read.features, reference.features)
    assert read_reference(tmp_path, dataclasses.replace(INFO, reference_sha256="")) is None


def test_a_trained_model_has_one(head: Path, splits: dict[str, Path]) -> None:
    info = read_model_info(head)
    reference = read_reference(head, info)
    assert reference is not None
    assert reference.features.shape == (info.reference_images, 112) == (80, 112)
    assert REFERENCE in list_model_files(info)
    stored = read_validation_predictions(head, splits["validation"])
    assert stored is not None and stored.unfamiliarity is not None
    assert stored.unfamiliarity.shape == (20,)
    # Among its own images, the nearest is the image itself.
    nearest = compute_unfamiliarity(reference.features, ReferenceFeatures(reference.features, 1))
    assert nearest.max() < 1e-3 < np.median(stored.unfamiliarity)


def test_a_reference_of_another_model_is_refused(head: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(head, model)
    write_reference(model, drawn(80, 112))
    with pytest.raises(HeadstartError, match=r"reference.parquet is not the file that model.json describes"):
        read_model_info(model)
    (model / REFERENCE).unlink()
    with pytest.raises(HeadstartError, match=r"lacks reference.parquet; train the model again"):
        read_model_info(model)


def table(values: list[list[float]], width: int = 4) -> pa.Table:
    flat = pa.array(np.array(values, np.float16).ravel(), pa.float16())
    return pa.table({"features": pa.FixedSizeListArray.from_arrays(flat, width)})


BROKEN = {
    "no column": (pa.table({"x": [1] * 6}), "features"),
    "of floats": (pa.table({"features": [1.0] * 6}), "its features are double"),
    "of another length": (table([[0.5] * 4] * 3), "it has 3 images and should have 6"),
    "not a number": (table([[np.nan] * 4] * 6), "NaN or not of length 1"),
    "not scaled": (table([[1.0] * 4] * 6), "NaN or not of length 1"),
    "missing": (
        pa.table({"features": pa.array([None] * 6, pa.list_(pa.float16(), 4))}),
        "features are missing",
    ),
    "far too large": (
        pa.table({"features": pa.array([None] * 6, pa.list_(pa.float16(), MOST_VALUES))}),
        "numbers",
    ),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_damaged_file_is_an_error_of_one_line(content: pa.Table, message: str, tmp_path: Path) -> None:
    pq.write_table(content, tmp_path / REFERENCE)
    with pytest.raises(HeadstartError, match=message) as raised:
        read_reference(tmp_path, INFO)
    assert "\n" not in str(raised.value) and "train the model again" in str(raised.value)


def test_a_file_that_is_no_parquet_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / REFERENCE).write_bytes(b"PAR1 and more")
    with pytest.raises(HeadstartError, match="is damaged"):
        read_reference(tmp_path, INFO)


def test_more_neighbours_than_images_are_refused(tmp_path: Path) -> None:
    write_reference(tmp_path, drawn())
    with pytest.raises(HeadstartError, match="compares with the 9 nearest"):
        read_reference(tmp_path, dataclasses.replace(INFO, neighbours=9))
