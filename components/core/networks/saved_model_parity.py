"""Comparison of a version that is served with its own SavedModel, which passed the parity gate of publication."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.networks import saved_model_process
from headstart.components.core.registry.export_formats import SAVED_MODEL
from headstart.components.core.registry.versions import Version
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.core.util.errors import HeadstartError

TOLERANCE = 0.01
"""Largest allowed difference of a probability, that of the parity gate of publication."""

_IMAGES = 8
_PATCHES = 6
_TIMEOUT = 300


@dataclasses.dataclass(frozen=True)
class DrawnPredictions:
    """Images drawn at random, and the probabilities of a SavedModel for them.

    Attributes:
        files: Encoded images.
        probabilities: Probabilities of each image in the order of the classes.
    """

    files: list[bytes]
    probabilities: list[list[float]]

    def largest_difference(self, predictions: list[dict[str, Any]]) -> float:
        """Largest difference of a probability; infinite if predictions are missing.

        Args:
            predictions: Predictions with `probabilities`, in the order of the images.
        """
        own = [each["probabilities"] for each in predictions]
        if not own or list(map(len, own)) != list(map(len, self.probabilities)):
            return np.inf
        return float(np.abs(np.array(own, np.float64) - np.array(self.probabilities)).max())

    def compare(self, predictions: list[dict[str, Any]]) -> None:
        """Compares predictions for the same images.

        Raises:
            HeadstartError: If a probability differs by more than the tolerance of publication.
        """
        largest = self.largest_difference(predictions)
        if not largest <= TOLERANCE:
            raise HeadstartError(
                f"the model's probabilities differ from those of its SavedModel by up to {largest:.3g}, more than "
                f"{TOLERANCE:g}; publish the model again"
            )


def predict_drawn_images(address: str, version: Version, info: ModelInfo) -> DrawnPredictions:
    """Lets the SavedModel of a version predict images that are drawn at random, in a process of its own.

    Args:
        address: Address of the version.
        version: Content of its `version.json`.
        info: Content of its `model.json`.

    Raises:
        HeadstartError: If the SavedModel cannot be downloaded, loaded or run.
    """
    files = _draw(info.image_size)
    folder = f"{address}/{SAVED_MODEL}"
    names = [name.removeprefix(f"{SAVED_MODEL}/") for name in version.files if name.startswith(f"{SAVED_MODEL}/")]
    with download_folder(folder, names) as saved_model, tempfile.TemporaryDirectory(prefix="headstart-") as work:
        images = Path(work) / "images.parquet"
        rows = [{"id": str(number), "image": {"bytes": content}} for number, content in enumerate(files)]
        pq.write_table(pa.Table.from_pylist(rows), images)
        predictions = Path(work) / "predictions.parquet"
        _run(Path(saved_model), images, predictions)
        return DrawnPredictions(files, pq.read_table(predictions)["probabilities"].to_pylist())


def _draw(size: int) -> list[bytes]:
    """Smooth colour images as PNG of the model's size, the same each time."""
    random, files = np.random.default_rng(0), []
    for _ in range(_IMAGES):
        patches = random.integers(0, 256, (_PATCHES, _PATCHES, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(patches).resize((size, size), Image.Resampling.BICUBIC).save(file, "PNG")
        files.append(file.getvalue())
    return files


def _run(saved_model: Path, images: Path, predictions: Path) -> None:
    order = {
        "path": [path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir()],
        "package": __name__.partition(".")[0],
        "saved_model": str(saved_model),
        "shards": [str(images)],
        "rows": list(range(_IMAGES)),
        "batch": _IMAGES,
        "predictions": str(predictions),
    }
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", saved_model_process.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
    ) as process:
        assert process.stdin is not None and process.stderr is not None  # noqa: S101 - for the type checker
        try:
            # Standard input stays open: the process ends when it closes.
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            if process.wait(_TIMEOUT):
                why = lines[-1] if lines else f"it ended with status {process.returncode}"
                raise HeadstartError(f"the SavedModel does not answer ({why}); publish the model again")
        except BrokenPipeError:
            raise HeadstartError("the SavedModel does not answer; publish the model again") from None
        finally:
            process.kill()
