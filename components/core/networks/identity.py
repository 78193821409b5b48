"""Whether two networks are the same, however their layers happen to be called."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from headstart.components.core.networks.pretrained_weights import weights_digest

# Names are numbered through a process, and what is trainable does not matter to what a network says.
_LEFT_OUT = ("name", "trainable", "build_config")


def model_digest(model: keras.Model) -> str:
    """SHA-256 over a model's weights and its architecture, in hexadecimal."""
    architecture = json.dumps(drop_layer_names(model.get_config()), sort_keys=True, default=str)
    return hashlib.sha256(f"{weights_digest(model)}\n{architecture}".encode()).hexdigest()


def drop_layer_names(config: Any, numbers: Mapping[str, int] = MappingProxyType({})) -> Any:
    """A configuration with the layers of each network numbered, in the order in which they are told, not named.

    Args:
        config: Of a layer, or part of it.
        numbers: Of the layers of the network that it belongs to, by their names, which others may have too.
    """
    if isinstance(config, dict):
        if "layers" in config:
            numbers = {layer.get("name"): at for at, layer in enumerate(config["layers"])}
        return {key: drop_layer_names(each, numbers) for key, each in config.items() if key not in _LEFT_OUT}
    if isinstance(config, (list, tuple)):
        return [drop_layer_names(each, numbers) for each in config]
    return numbers.get(config, config) if isinstance(config, str) else config
