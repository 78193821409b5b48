"""A server of published models whose network is a function of two lines, so that nothing waits for TensorFlow."""

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.components.core.artifacts.model import read_model_info
from headstart.components.core.registry.model_files import ModelFiles
from headstart.components.core.registry.registry import publish_folder
from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.step import open_model
from headstart.pipelines.serving.current_version import CurrentVersion, LoadVersion
from headstart.pipelines.serving.limits import Limits
from headstart.pipelines.serving.loaded_version import FoundVersion, LoadedVersion, read_pages
from headstart.pipelines.serving.server import open_server
from support.published import version_folder

LIMITS = Limits(body_bytes=200_000, images=4, waiting_images=8, read_seconds=0.5, answer_seconds=5)


def load(
    found: FoundVersion,
    precision: float,
    network_thread: ThreadPoolExecutor,
    kind: type[LoadedVersion] = LoadedVersion,
    card: str = "",
) -> LoadedVersion:
    """A version whose network says how red an image is, and adds a thousandth of its seed."""
    folder = Path(found.address) / "model"
    seed = read_model_info(folder).seed
    if (Path(found.address) / "broken").exists():
        raise HeadstartError(f"{folder} cannot be loaded")

    def network(pixels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        time.sleep(0.002)
        red = pixels[..., 0].mean(axis=(1, 2), dtype=np.float64) / 512 + seed / 1000
        return np.stack([1 - red, red], axis=1), np.zeros((len(pixels), 1), np.float32)

    return kind(found.name, open_model(ModelFiles(folder), precision), network, card, pages=read_pages(found))


def publish(folder: Path, uri: Path, seed: int) -> str:
    """Publishes the version of a seed; returns its name."""
    return publish_folder(version_folder(folder / f"seed{seed}", seed), str(uri)).version


@contextlib.contextmanager
def serving(
    uri: Path, limits: Limits = LIMITS, load_version: LoadVersion = load, page: bool = True, grpc_port: int = 0
) -> Iterator[tuple[str, CurrentVersion]]:
    """A server on a free port, which looks for another champion when `CurrentVersion.update` is called."""
    current = CurrentVersion(str(uri), 0.0, 3600, load_version)
    with open_server(current, "pets", "127.0.0.1", 0, limits, page, grpc_port) as (url, run, stop):
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield url, current
        finally:
            stop()
            thread.join(10)
            assert not thread.is_alive()


def picture(red: int, size: int = 80, form: str = "PNG") -> bytes:
    """An image file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (red, 0, 0)).save(file, form)
    return file.getvalue()
