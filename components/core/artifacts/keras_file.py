"""Inspection of `model.keras`, the file of a network, without TensorFlow and before Keras builds anything from it.

Keras builds whatever the configuration in the file names, of any size, and reads weights wherever HDF5 finds them. So
the configuration may name only Keras' own layers, none of those that run code or read files, and the weights must lie
in the file. `core.networks.saving` finds out the size of the network before it is built.
"""

import contextlib
import dataclasses
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headstart.components.core.artifacts.hdf5_file import max_unpacked_bytes, open_hdf5
from headstart.components.core.storage.manifests import parse_json
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.zip_members import extract_member, read_member

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"

RESIZE, OUTPUT = "resize", "output"
"""Names of the first and the last layer of a classifier."""

_MOST_CONFIG_BYTES = 8 * 2**20
"""The longest configuration of a backbone in the table, EfficientNetV2S, has half a megabyte."""

_MODULES = (
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.ops",
    "keras.regularizers",
)
_INNER_MODULES = ("applications", "dtype_policies", "initializers", "layers", "models", "ops")
"""Parts of `keras.src` that saved networks name: operations, models and layers of `keras.applications`."""

_REACHING_LAYERS = {
    "FlaxLayer",
    "IntegerLookup",
    "JaxLayer",
    "Lambda",
    "StringLookup",
    "TFSMLayer",
    "TextVectorization",
    "TorchModuleWrapper",
}
"""Layers that run code from the file, or read a file that it names."""


@contextlib.contextmanager
def open_weights(path: Path, what: str, way_out: str) -> Iterator[h5py.File]:
    """Opens the weights in a `.keras` file: a self-contained HDF5 file.

    Args:
        path: `.keras` file.
        what: Name of the file in messages.
        way_out: End of the message.

    Raises:
        HeadstartError: If it is not a `.keras` file, damaged, encrypted or too large, or its weights refer to another
            file.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        with _opened_archive(path, what, way_out) as archive:
            weights = extract_member(
                archive, WEIGHTS, Path(folder) / WEIGHTS, max_unpacked_bytes(path.stat().st_size)
            )
        with open_hdf5(weights, f"{what}: {WEIGHTS}", way_out) as store:
            yield store


@contextlib.contextmanager
def _opened_archive(path: Path, what: str, way_out: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except HeadstartError as error:
        raise HeadstartError(f"{what} cannot be loaded: {error}; {way_out}") from None
    except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise HeadstartError(f"{what} is not a Keras file, or is damaged ({first_line(error)}); {way_out}") from None


@dataclasses.dataclass(frozen=True)
class NetworkFile:
    """Facts about a network that has not been built.

    Attributes:
        config: Configuration of its layers, without that of its training.
        values: Number of values in its weights.
    """

    config: dict[str, Any]
    values: int


def inspect_network(path: Path, classes: int, image_size: int, way_out: str) -> NetworkFile:
    """Inspects the network of a model artifact, and refuses one that Keras could not or should not load.

    Args:
        path: `.keras` file.
        classes: Number of classes of the model.
        image_size: Side in pixels that it resizes images to.
        way_out: End of the message.

    Raises:
        HeadstartError: If it is not a `.keras` file, damaged, encrypted or too large, names anything but layers of
            Keras, refers to another file, has other classes or another size, or a weight is NaN or infinite.
    """
    what = str(path)
    config = read_network_config(path, what, way_out)
    if wrong := _wrong_ends(config, classes, image_size):
        raise HeadstartError(f"{what} cannot be loaded: {wrong}; {way_out}")
    return NetworkFile(config, count_values(path, what, way_out))


def read_network_config(path: Path, what: str, way_out: str) -> dict[str, Any]:
    """Reads the configuration of the layers in a `.keras` file, without that of their training.

    Args:
        path: `.keras` file.
        what: Name of the file in messages.
        way_out: End of the message.

    Raises:
        HeadstartError: If it is not a `.keras` file, damaged, encrypted or too large, or names anything but layers of
            Keras.
    """
    with _opened_archive(path, what, way_out) as archive:
        return _config(read_member(archive, CONFIG, _MOST_CONFIG_BYTES))


def count_values(path: Path, what: str, way_out: str) -> int:
    """Counts the values in the weights of a `.keras` file.

    Args:
        path: `.keras` file.
        what: Name of the file in messages.
        way_out: End of the message.

    Raises:
        HeadstartError: If its weights are damaged, too large, refer to another file, or one is NaN or infinite.
    """
    with open_weights(path, what, way_out) as store:
        return check_values(store, what)


def _config(content: bytes) -> dict[str, Any]:
    try:
        config = parse_json(content)
    except ValueError as error:
        raise HeadstartError(f"its {CONFIG} cannot be read ({first_line(error)})") from None
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise HeadstartError(f"its {CONFIG} does not describe a network")
    config["compile_config"] = None
    check_keras_only(config)
    return config


def check_keras_only(config: Any) -> None:
    """Checks that a configuration names nothing but Keras' own layers, initializers and operations.

    Raises:
        HeadstartError: If it names something else.
    """
    waiting: list[Any] = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            _check_named(each)
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _check_named(item: dict[str, Any]) -> None:
    """Refuses an object that is not one of Keras' own layers, initializers and operations."""
    name, module = item.get("class_name"), item.get("module")
    if name is None or name == "__keras_tensor__":
        return
    inner = isinstance(module, str) and module.startswith("keras.src.") and module.split(".")[2] in _INNER_MODULES
    if not isinstance(name, str) or not (module in _MODULES or inner) or name in _REACHING_LAYERS:
        raise HeadstartError(
            f"its {CONFIG} names {module}.{name}, which is not a layer that an image classifier needs"
        )


def _wrong_ends(config: dict[str, Any], classes: int, image_size: int) -> str:
    """Difference between `model.json` and the first and last layer; empty if there is none."""
    layers = config["config"].get("layers")
    settings = [each.get("config") for each in layers if isinstance(each, dict)] if isinstance(layers, list) else []
    named = {each.get("name"): each for each in settings if isinstance(each, dict)}
    resize, output = named.get(RESIZE, {}), named.get(OUTPUT, {})
    size = (resize.get("height"), resize.get("width"))
    if size != (image_size, image_size):
        return f"it resizes images to {size[0]}x{size[1]}, and model.json says {image_size}x{image_size}"
    wanted = 1 if classes == 2 else classes
    if output.get("units") != wanted:
        return f"it has {output.get('units')} outputs, and the {classes} classes of model.json need {wanted}"
    return ""


def check_values(store: h5py.File, what: str) -> int:
    """Checks that all floats in a file of weights are finite, and counts its values.

    Raises:
        HeadstartError: If a weight is NaN or infinite.
    """
    count = 0

    def look(name: str, item: object) -> None:
        nonlocal count
        if isinstance(item, h5py.Dataset):
            count += item.size or 0
            if item.dtype.kind == "f" and not np.isfinite(item[()]).all():
                raise HeadstartError(f"{what}: weights {name!r} have NaN or infinite values")

    store.visititems(look)
    return count
