"""Whether two networks are the same, however their layers happen to be called."""

import hashlib
import json
from typing import Any

import keras

from headstart.components.core.network.weights import weights_digest

# Names are numbered through a process, and what is trainable does not matter to what a network says.
_LEFT_OUT = ("name", "trainable", "build_config")


def model_digest(model: keras.Model) -> str:
    """SHA-256 over a model's weights and its architecture, in hexadecimal."""
    architecture = json.dumps(nameless(model.get_config()), sort_keys=True, default=str)
    return hashlib.sha256(f"{weights_digest(model)}\n{architecture}".encode()).hexdigest()


def nameless(config: Any) -> Any:
    """A layer's configuration with layers numbered, in the order in which they are told, instead of named."""
    numbers: dict[str, int] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "config" in value and "name" in value:
                numbers.setdefault(value["name"], len(numbers))
            return {key: walk(each) for key, each in value.items() if key not in _LEFT_OUT}
        if isinstance(value, (list, tuple)):
            return [walk(each) for each in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return walk(config)
