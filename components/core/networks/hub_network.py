"""Presets of KerasHub as backbones: built by KerasHub, and put into layers of Keras alone."""

import contextlib
import io
import math
import warnings
from pathlib import Path
from typing import Any

import keras

from headstart.components.core.artifacts.hdf5_file import open_hdf5
from headstart.components.core.artifacts.keras_file import check_values
from headstart.components.core.artifacts.safetensors_file import check_safetensors
from headstart.components.core.backbones.table import Backbone
from headstart.components.core.networks.classifier import PREPROCESS
from headstart.components.core.networks.hub_layers import copy_to_keras
from headstart.components.core.networks.own_network import AS_MAP
from headstart.components.core.recipes.hub_preset import (
    HUB_WAY_OUT,
    SAFETENSORS,
    TOWERS,
    WEIGHTS,
    HubPreset,
    describe_hub_preset,
    read_hub_preset,
)
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event

CLASS_TOKEN, MEAN_OF_PATCHES = "class_token", "mean_of_patches"
"""Layers at the end of a transformer that give its features, or a part of them."""


def build_hub_network(folder: Path, backbone: Backbone, image_size: int) -> keras.Model:
    """Builds a backbone from a preset of KerasHub.

    The scaling of the preset's image converter is its first layer. All layers are Keras' own, so what is trained from
    it needs no KerasHub. It ends with the feature map of a convolutional network. Of a transformer it ends with a
    vector as a map of one position: what its authors train a linear classifier on, see `HubFamily.features`.

    Args:
        folder: Folder of `open_hub_preset`.
        backbone: Its row.
        image_size: Side of the input in pixels, which the preset takes.

    Returns:
        A network from pixels (n, size, size, 3), 0-255, to a feature map.

    Raises:
        HeadstartError: If KerasHub cannot build it, or its weights are damaged.
    """
    what = describe_hub_preset(backbone)
    preset = read_hub_preset(folder, what)
    weights = f"{what}: {preset.weights_file}"
    if preset.weights_file == SAFETENSORS:
        check_safetensors(folder / SAFETENSORS, weights, HUB_WAY_OUT)
    else:
        with open_hdf5(folder / WEIGHTS, weights, HUB_WAY_OUT) as store:
            check_values(store, weights)
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    scaled = pixels
    if preset.scaling:
        scaled = keras.layers.Rescaling(*preset.scaling, name=PREPROCESS)(pixels)
    try:
        network = _load(folder, preset, image_size)
        inputs = dict.fromkeys(network.input, scaled) if isinstance(network.input, dict) else scaled
        (output,) = keras.tree.flatten(copy_to_keras(network, inputs))
        features = _end(output, network, preset)
    except Exception as error:
        # Keras and KerasHub raise errors of many kinds for a configuration that does not fit the weights.
        raise HeadstartError(f"{what} cannot be built ({first_line(error)}); {HUB_WAY_OUT}") from None
    event("hub_preset", backbone=backbone.name, network=preset.class_name, features=preset.family.features)
    return keras.Model(pixels, features, name=backbone.name)


def _load(folder: Path, preset: HubPreset, image_size: int) -> Any:
    import keras_hub

    settings = {"image_shape": (image_size, image_size, 3)} if preset.family.sizes == "patches" else {}
    with contextlib.ExitStack() as stack:
        # A preset in 16 bits is trained and saved like all others.
        policy = keras.config.dtype_policy()
        stack.callback(keras.config.set_dtype_policy, policy)
        keras.config.set_dtype_policy("float32")
        # Of its own lists of layers, which files of an earlier Keras do not have; all weights are in the layers.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Skipping nested container at '_operations_by_depth")
        # Some of KerasHub's converters print each weight.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        network = keras_hub.models.Backbone.from_preset(str(folder), dtype="float32", **settings)
    if tower := TOWERS.get(preset.class_name):
        return getattr(network, tower)
    if isinstance(network.output, dict):
        # The maps of all stages; the last one is the coarsest.
        return keras.Model(network.input, network.output[network.out_features[-1]], name=network.name)
    return network


def _end(output: keras.KerasTensor, network: Any, preset: HubPreset) -> keras.KerasTensor:
    """The feature map, or a vector of features as a map of one position."""
    layers = keras.layers
    if preset.family.features == "map":
        if len(output.shape) == 4:
            return output
        # The tokens of a network whose attention is that of windows are its last map, row by row.
        side = math.isqrt(output.shape[1])
        return layers.Reshape((side, side, output.shape[-1]), name=AS_MAP)(output)
    if preset.family.features == "pooled":
        return layers.Reshape((1, 1, output.shape[-1]), name=AS_MAP)(output)
    tokens = output.shape[1]
    first = tokens - _count_patches(network)
    parts = []
    if first:
        parts.append(layers.Cropping1D((0, tokens - 1), name=CLASS_TOKEN)(output))
    if not first or preset.family.features == "class and patches":
        patches = layers.Cropping1D((first, 0), name="patch_tokens")(output)
        parts.append(layers.GlobalAveragePooling1D(keepdims=True, name=MEAN_OF_PATCHES)(patches))
    vector = layers.Concatenate(name="features")(parts) if len(parts) > 1 else parts[0]
    return layers.Reshape((1, 1, vector.shape[-1]), name=AS_MAP)(vector)


def _count_patches(network: Any) -> int:
    side = network.image_shape[0]
    patch = network.patch_size
    return int((side // (patch if isinstance(patch, int) else patch[0])) ** 2)
