"""Pretrained weights of a backbone: finding or downloading them, and checking that they fit."""

import contextlib
import hashlib
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

from headstart.components.core.artifacts.hdf5_file import open_hdf5, read_floats
from headstart.components.core.artifacts.keras_file import open_weights
from headstart.components.core.backbones.table import NO_WEIGHTS, Backbone
from headstart.components.core.backbones.weights_files import (
    WEIGHTS_FOLDER,
    find_in_weights_folder,
    find_packaged_weights,
)
from headstart.components.core.networks.classifier import build_backbone
from headstart.components.core.networks.depthwise import use_depthwise_convolutions
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.networks.own_network import build_own_network
from headstart.components.core.recipes.hub_preset import SAFETENSORS, WEIGHTS, open_hub_preset
from headstart.components.core.recipes.own_network import open_own_network
from headstart.components.core.storage.cached_download import open_pretrained_file
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.util.errors import HeadstartError, Unavailable
from headstart.components.core.util.logs import event, log_phase

_WAY_OUT = "pass weights as a file or an http(s)://, gs:// or s3:// address of a .weights.h5, .h5 or .keras file"


def build_pretrained_backbone(backbone: Backbone, image_size: int, weights: str, sha256: str = "") -> keras.Model:
    """Builds a backbone with pretrained weights; see `build_with_weights_file`.

    Args:
        backbone: Row of the table of backbones.
        image_size: Side of the input in pixels.
        weights: File, address, ``none``, or name of the backbone's own weights; empty: the backbone's own.
        sha256: Checksum that the file must have, in hexadecimal; empty: any.

    Raises:
        HeadstartError: If the weights cannot be found, downloaded or read, or do not fit.
    """
    return build_with_weights_file(backbone, image_size, weights, sha256)[0]


def build_with_weights_file(
    backbone: Backbone, image_size: int, weights: str, sha256: str = ""
) -> tuple[keras.Model, str]:
    """Builds a backbone with pretrained weights; downloads them if need be and caches what came from an address.

    Convolutions of single channels become depthwise ones: see `use_depthwise_convolutions`.

    Args:
        backbone: Row of the table of backbones.
        image_size: Side of the input in pixels.
        weights: A file; an `http(s)://`, `gs://` or `s3://` address; ``none`` for random weights; or the name of the
            backbone's own weights. Empty: the backbone's file in the folder that HEADSTART_WEIGHTS names, or else its
            own weights.
        sha256: Checksum that the file must have, in hexadecimal; empty: any. With it, a copy in the cache is used
            without a request to the address.

    Returns:
        The backbone, and the SHA-256 of the file at `weights`, or of the file that a network of the user's own or a
        preset comes from; empty if there is neither.

    Raises:
        HeadstartError: If the weights cannot be found, downloaded or read, or do not fit.
    """
    log_phase("reading weights")
    backbone.check_weights(weights)
    sha256, named = sha256.lower(), bool(weights)
    if backbone.preset:
        with open_hub_preset(backbone, sha256) as folder:
            base = use_depthwise_convolutions(build_hub_network(folder, backbone, image_size))
            places = (folder / WEIGHTS, folder / SAFETENSORS)
            return base, sha256_of_file(next(each for each in places if each.exists()))
    if backbone.file:
        with open_own_network(backbone, sha256) as file:
            return use_depthwise_convolutions(build_own_network(file, backbone, image_size)), sha256_of_file(file)
    weights = weights or _find_weights(backbone) or backbone.pretrained
    if weights in (NO_WEIGHTS, backbone.pretrained) and sha256:
        raise HeadstartError(f"a sha256 of weights {weights!r} cannot be checked; pass a file or an address with it")
    if weights == backbone.pretrained == "imagenet":
        return use_depthwise_convolutions(_download_imagenet_weights(backbone, image_size)), ""
    base, found = build_backbone(backbone, image_size), ""
    if weights == NO_WEIGHTS:
        return use_depthwise_convolutions(base), ""
    if weights == backbone.pretrained and (packaged := find_packaged_weights(backbone)):
        load_weights(base, packaged, backbone.name)
    else:
        with open_pretrained_file(weights, sha256, _WAY_OUT) as file:
            load_weights(base, file, backbone.name)
            found = sha256_of_file(file) if named else ""
    return use_depthwise_convolutions(base), found


def load_weights(base: keras.Model, path: Path, backbone: str) -> None:
    """Loads weights from an HDF5 file, in Keras 3's layout or the older one, or from a `.keras` file.

    Every shape is checked before the first weight is set. Other layers in the file, such as its head, are ignored.
    References to other files are refused: see `core.artifacts.hdf5_file`.

    Args:
        base: Backbone that receives the weights.
        path: File of weights.
        backbone: Name of the backbone, for messages.

    Raises:
        HeadstartError: If the file is neither, refers to another file, does not fit, or has a weight that is not a
            finite floating-point number.
    """
    layers = _layers_with_weights(base)
    with _open_weights_file(path) as store:
        # The older layout keeps the weights of a whole model in this group.
        root = store.get("model_weights", store)
        found = _find_by_order(root, base) if "layer_names" in root.attrs else _find_by_group(store, base)
        for number, layer in enumerate(layers):
            wanted = [tuple(weight.shape) for weight in layer.weights]
            given = [value.shape for value in found[number]] if number < len(found) else []
            if given != wanted:
                raise HeadstartError(
                    f"weights {str(path)!r} do not fit backbone {backbone}: layer {layer.name!r} needs "
                    f"{_shapes(wanted)}, the file has {_shapes(given)}; pass weights made for {backbone}"
                )
        # All are read before the first is set, so a refused file leaves the network unchanged.
        values = [
            [read_floats(value, f"weights {str(path)!r}, layer {layer.name!r}:") for value in layers_values]
            for layer, layers_values in zip(layers, found, strict=False)
        ]
    for layer, layers_values in zip(layers, values, strict=True):
        layer.set_weights(layers_values)


def weights_digest(model: keras.Model) -> str:
    """Computes the SHA-256 of the shapes and values of a model's weights, in hexadecimal.

    Names do not count: Keras numbers those of ConvNeXt's layer scales throughout a process.
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(str(tuple(weight.shape)).encode())
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _find_weights(backbone: Backbone) -> str:
    """Path of the backbone's file in the folder that the environment names; empty if there is none."""
    file = find_in_weights_folder(backbone)
    if file is None:
        return ""
    event("weights", backbone=backbone.name, file=file)
    return str(file)


def _download_imagenet_weights(backbone: Backbone, image_size: int) -> keras.Model:
    # Keras would draw a bar of its own.
    keras.config.disable_interactive_logging()
    try:
        with warnings.catch_warnings():
            # MobileNetV2 warns that it has weights for few sizes only; those for 224, which it loads, fit all.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return build_backbone(backbone, image_size, weights="imagenet")
    except Exception as error:
        # keras.utils.get_file raises a bare Exception for every problem.
        raise Unavailable(
            f"cannot download the imagenet weights of {backbone.name} ({error}); {_WAY_OUT}, or set the "
            f"environment variable {WEIGHTS_FOLDER} to a folder with {backbone.name}.weights.h5"
        ) from None


@contextlib.contextmanager
def _open_weights_file(path: Path) -> Iterator[h5py.File]:
    """Opens an HDF5 file, or the one inside a `.keras` file, which is a Zip archive."""
    what = f"weights {str(path)!r}"
    with contextlib.ExitStack() as stack:
        if path.is_file() and zipfile.is_zipfile(path):
            store = stack.enter_context(open_weights(path, what, _WAY_OUT))
        else:
            store = stack.enter_context(open_hdf5(path, what, _WAY_OUT))
        yield store


def _layers_with_weights(model: keras.Model) -> list[keras.Layer]:
    """Layers that have weights, in order, nested models included."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _layers_with_weights(layer)
        elif layer.weights:
            found.append(layer)
    return found


def _find_by_group(store: h5py.File, base: keras.Model) -> list[list[h5py.Dataset]]:
    """Finds each layer's values in Keras 3's layout: in the group where Keras would save that layer."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        saved = Path(folder) / "backbone.weights.h5"
        base.save_weights(saved)
        with h5py.File(saved, "r") as own:
            group_of = {group.attrs["name"]: name for name, group in _groups_with_name(own)}
    names = [group_of[layer.name] for layer in _layers_with_weights(base)]
    # The backbone is the whole model or one of its layers.
    roots = [store, *(group for group in store.get("layers", {}).values() if "layers" in group)]
    root = max(roots, key=lambda root: sum(name in root for name in names))
    groups = [root.get(name, {}) for name in names]
    return [[group[key] for key in sorted(group, key=int)] for group in groups]


def _groups_with_name(store: h5py.File) -> list[tuple[str, h5py.Group]]:
    found: list[tuple[str, h5py.Group]] = []
    store.visititems(lambda name, item: found.append((name, item)) if "name" in item.attrs else None)
    return found


def _find_by_order(root: h5py.Group, base: keras.Model) -> list[list[h5py.Dataset]]:
    """Finds each layer's values in the older layout: by order, where a nested model counts as one layer."""
    groups = [
        [group[name] for name in group.attrs["weight_names"]] for group in map(root.get, root.attrs["layer_names"])
    ]
    found: list[list[h5py.Dataset]] = []
    for layer, values in zip((layer for layer in base.layers if layer.weights), filter(None, groups), strict=False):
        rest = values
        for inner in _layers_with_weights(layer)[:-1] if isinstance(layer, keras.Model) else ():
            found.append(rest[: len(inner.weights)])
            rest = rest[len(inner.weights) :]
        found.append(rest)
    return found


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) or "a scalar" for shape in shapes) or "nothing"
