"""The file of a network, `model.keras`, looked into without TensorFlow and before Keras builds anything of it.

Keras makes whatever the file's configuration names, of any size, and reads its weights wherever HDF5 finds them. So
the configuration must name Keras' own layers alone, none of those that run code or read files, and the weights must
lie in the file. How large the network would be, `core.networks.saving` finds out before it is built.
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
"""Names of a classifier's first layer and of its last one."""

_MOST_CONFIG_BYTES = 8 * 2**20
"""EfficientNetV2S, the longest configuration that the table of backbones has, takes half a megabyte."""

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
"""They run code that the file brings, or read a file that it names."""


@contextlib.contextmanager
def open_weights(path: Path, what: str, way_out: str) -> Iterator[h5py.File]:
    """Opens the weights in a `.keras` file, an HDF5 file that is closed in itself.

    Args:
        path: The file.
        what: Names it in the message.
        way_out: The end of the message.

    Raises:
        HeadstartError: If it is no such file, damaged, encrypted, too large, or its weights reach outside of it.
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
        raise HeadstartError(f"{what} is no Keras file, or is damaged ({first_line(error)}); {way_out}") from None


@dataclasses.dataclass(frozen=True)
class NetworkFile:
    """What the file of a network says before it is built.

    Attributes:
        config: The configuration that Keras makes layers of, without what it was trained with.
        values: Numbers in its weights.
    """

    config: dict[str, Any]
    values: int


def inspect_network(path: Path, classes: int, image_size: int, way_out: str) -> NetworkFile:
    """Looks into the network of a model artifact, and refuses what Keras could not load, or should not.

    Args:
        path: The `.keras` file.
        classes: Classes that the model tells apart.
        image_size: Side in pixels that it resizes images to.
        way_out: The end of the message.

    Raises:
        HeadstartError: If it is no `.keras` file, damaged, encrypted or too large, names what is no layer of Keras,
            its weights reach outside of it, it has other classes or another size, or a weight is NaN or infinite.
    """
    what = str(path)
    with _opened_archive(path, what, way_out) as archive:
        config = _config(read_member(archive, CONFIG, _MOST_CONFIG_BYTES))
        if wrong := _wrong_ends(config, classes, image_size):
            raise HeadstartError(wrong)
    with open_weights(path, what, way_out) as store:
        return NetworkFile(config, _checked_values(store, what))


def _config(content: bytes) -> dict[str, Any]:
    try:
        config = parse_json(content)
    except ValueError as error:
        raise HeadstartError(f"its {CONFIG} cannot be read ({first_line(error)})") from None
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise HeadstartError(f"its {CONFIG} is no network's")
    config["compile_config"] = None
    waiting: list[Any] = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            _check_named(each)
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return config


def _check_named(item: dict[str, Any]) -> None:
    """Refuses what Keras would make an object of and is none of its layers, initializers and operations."""
    name, module = item.get("class_name"), item.get("module")
    if name is None or name == "__keras_tensor__":
        return
    inner = isinstance(module, str) and module.startswith("keras.src.") and module.split(".")[2] in _INNER_MODULES
    if not isinstance(name, str) or not (module in _MODULES or inner) or name in _REACHING_LAYERS:
        raise HeadstartError(f"its {CONFIG} names {module}.{name}, which is no layer that an image classifier needs")


def _wrong_ends(config: dict[str, Any], classes: int, image_size: int) -> str:
    """How the first and the last layer differ from what `model.json` says; empty where they do not."""
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


def _checked_values(store: h5py.File, what: str) -> int:
    """The number of all values; those that are floats have to be finite."""
    count = 0

    def look(name: str, item: object) -> None:
        nonlocal count
        if isinstance(item, h5py.Dataset):
            count += item.size or 0
            if item.dtype.kind == "f" and not np.isfinite(item[()]).all():
                raise HeadstartError(f"{what}: weights {name!r} have NaN or infinite values")

    store.visititems(look)
    return count
