"""Pretrained weights for a backbone: where they come from, and whether they fit."""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import h5py
import keras

from headstart.components.core.backbones import NO_WEIGHTS, Backbone
from headstart.components.core.errors import HeadstartError
from headstart.components.core.logs import event
from headstart.components.core.network.classifier import build_backbone
from headstart.components.core.stores import is_remote, open_store

WEIGHTS_FOLDER = "HEADSTART_WEIGHTS"
"""The environment variable that names a folder of `BACKBONE.weights.h5` files; empty: there is none."""

_PRETRAINED = Path(__file__).parent / "pretrained"
_WAY_OUT = (
    "pass weights as a file or an http(s)://, gs:// or s3:// address of a .weights.h5 or .h5 file made with "
    "include_top=False"
)


def pretrained_backbone(backbone: Backbone, image_size: int, weights: str) -> keras.Model:
    """Builds a backbone and gives it its weights.

    Args:
        backbone: A row of the table.
        image_size: Side of the input in pixels.
        weights: Empty for the file of this backbone in the folder that HEADSTART_WEIGHTS names, and where there is
            none, for the backbone's own; their name; ``none`` for random ones; a file, or an `http(s)://`, `gs://`
            or `s3://` address of one.

    Raises:
        HeadstartError: The weights cannot be had, or do not fit; the message names the layer and both shapes.
    """
    backbone.check_weights(weights)
    weights = weights or _at_hand(backbone) or backbone.pretrained
    if weights == NO_WEIGHTS:
        return build_backbone(backbone, image_size)
    if weights == backbone.pretrained == "imagenet":
        return _with_imagenet(backbone, image_size)
    base = build_backbone(backbone, image_size)
    if weights == backbone.pretrained:
        load_weights(base, _PRETRAINED / f"{backbone.name}.weights.h5", backbone.name)
    elif is_remote(weights):
        with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
            load_weights(base, _downloaded(weights, Path(folder) / "weights"), backbone.name)
    else:
        load_weights(base, Path(weights).expanduser(), backbone.name)
    return base


def load_weights(base: keras.Model, path: Path, backbone: str) -> None:
    """Loads an HDF5 file, in Keras 3's layout or the older one, after checking every shape.

    Raises:
        HeadstartError: The file is no HDF5, or it does not fit.
    """
    try:
        with h5py.File(path, "r") as store:
            old_layout = "layer_names" in store.attrs
            shapes = _shapes_by_order(store) if old_layout else _shapes_by_group(store, base)
    except OSError:
        raise HeadstartError(f"weights {str(path)!r} is no HDF5 file, or is damaged; {_WAY_OUT}") from None
    _check_fit(base, shapes, path, backbone)
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder, warnings.catch_warnings():
        # Keras tells the two layouts apart by the file's name.
        link = Path(folder) / ("weights.h5" if old_layout else "backbone.weights.h5")
        link.symlink_to(path.resolve())
        # It warns of lists that other Keras versions kept beside the layers; every layer has been checked.
        warnings.filterwarnings("ignore", "Skipping nested container")
        base.load_weights(link)


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over the names, shapes and values of a model's weights, in hexadecimal."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(f"{weight.name}{tuple(weight.shape)}".encode())
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _at_hand(backbone: Backbone) -> str:
    """The backbone's file in the folder that the environment names; empty where there is none."""
    named = os.environ.get(WEIGHTS_FOLDER, "")
    if not named:
        return ""
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise HeadstartError(
            f"{WEIGHTS_FOLDER} is {named!r}, which is no folder; name one of BACKBONE.weights.h5 files, or unset it"
        )
    file = folder / f"{backbone.name}.weights.h5"
    if not file.is_file():
        return ""
    event("weights", backbone=backbone.name, file=file)
    return str(file)


def _downloaded(weights: str, target: Path) -> Path:
    try:
        return open_store(weights).download(weights, target)
    except HeadstartError as error:
        raise HeadstartError(f"cannot download weights: {error}; or {_WAY_OUT}") from None


def _with_imagenet(backbone: Backbone, image_size: int) -> keras.Model:
    try:
        with warnings.catch_warnings():
            # MobileNetV2 warns that there are weights for a few sizes only and loads those of 224: they fit.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return build_backbone(backbone, image_size, weights="imagenet")
    except Exception as error:
        # keras.utils.get_file raises a bare Exception for whatever went wrong on the way.
        raise HeadstartError(
            f"cannot download the imagenet weights of {backbone.name} ({error}); {_WAY_OUT}, or name the folder of "
            f"such a {backbone.name}.weights.h5 in the environment variable {WEIGHTS_FOLDER}"
        ) from None


def _shapes_by_group(store: h5py.File, base: keras.Model) -> list[list[tuple[int, ...]]]:
    """Shapes for each layer in Keras 3's layout, found in the group where Keras itself would save that layer."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        saved = Path(folder) / "backbone.weights.h5"
        base.save_weights(saved)
        with h5py.File(saved, "r") as own:
            group_of = {group.attrs["name"]: name for name, group in _groups_with_name(own)}
    groups = [store.get(group_of[layer.name], {}) for layer in base.layers if layer.weights]
    return [[group[key].shape for key in sorted(group, key=int)] for group in groups]


def _groups_with_name(store: h5py.File) -> list[tuple[str, h5py.Group]]:
    found: list[tuple[str, h5py.Group]] = []
    store.visititems(lambda name, item: found.append((name, item)) if "name" in item.attrs else None)
    return found


def _shapes_by_order(store: h5py.File) -> list[list[tuple[int, ...]]]:
    """Shapes for each layer that has weights, in the older layout, where layers are matched in order."""
    found = []
    for name in store.attrs["layer_names"]:
        group = store[name]
        shapes = [group[weight].shape for weight in group.attrs["weight_names"]]
        if shapes:
            found.append(shapes)
    return found


def _check_fit(base: keras.Model, found: list[list[tuple[int, ...]]], path: Path, backbone: str) -> None:
    layers = [layer for layer in base.layers if layer.weights]
    for number, layer in enumerate(layers):
        wanted = [tuple(weight.shape) for weight in layer.weights]
        there = found[number] if number < len(found) else []
        if there != wanted:
            raise HeadstartError(
                f"weights {str(path)!r} do not fit backbone {backbone}: layer {layer.name!r} needs "
                f"{_shapes(wanted)}, the file has {_shapes(there)}; pass weights made for {backbone} without top"
            )
    if len(found) > len(layers):
        raise HeadstartError(
            f"weights {str(path)!r} do not fit backbone {backbone}: the file has {len(found)} layers with weights, "
            f"the backbone {len(layers)}; pass weights made for {backbone} without top"
        )


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join("x".join(map(str, shape)) or "a scalar" for shape in shapes) or "nothing"
