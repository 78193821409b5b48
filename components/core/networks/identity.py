"""Digests that tell whether two networks are the same, whatever the names of their layers."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from headstart.components.core.networks.pretrained_weights import weights_digest

# Keras numbers names throughout a process, and the output does not depend on what is trainable.
_LEFT_OUT = ("name", "trainable", "build_config")


def model_digest(model: keras.Model) -> str:
    """Computes the SHA-256 of a model's weights and architecture, in hexadecimal."""
    architecture = json.dumps(drop_layer_names(model.get_config()), sort_keys=True, default=str)
    return hashlib.sha256(f"{weights_digest(model)}\n{architecture}".encode()).hexdigest()


def drop_layer_names(config: Any, numbers: Mapping[str, int] = MappingProxyType({})) -> Any:
    """Replaces the layer names in a configuration by the layers' numbers within their network.

    Args:
        config: Configuration of a model or layer, or a part of it.
        numbers: Numbers of the surrounding network's layers by name; another network may use the same names.
    """
    if isinstance(config, dict):
        if "layers" in config:
            numbers = {layer.get("name"): at for at, layer in enumerate(config["layers"])}
        return {key: drop_layer_names(each, numbers) for key, each in config.items() if key not in _LEFT_OUT}
    if isinstance(config, (list, tuple)):
        return [drop_layer_names(each, numbers) for each in config]
    return numbers.get(config, config) if isinstance(config, str) else config
