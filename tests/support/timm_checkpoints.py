"""Checkpoints in timm's format with random weights, made by turning KerasHub's converters round."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras_hub.src.utils.timm.preset_loader import TimmPresetLoader
from safetensors.numpy import save_file

SMALL, RESNET = "mobilenetv3_small_050", "resnet18"
MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.25, 0.5, 0.2]


class _Writer:
    """Takes the place of KerasHub's reader of a checkpoint, and learns what it would have had to read."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}

    def port_weight(
        self, keras_variable: Any, hf_weight_key: str, hook_fn: Callable[[np.ndarray, Any], np.ndarray] | None = None
    ) -> None:
        value = np.asarray(keras_variable)
        self.tensors[hf_weight_key] = next(
            candidate
            for axes in itertools.permutations(range(value.ndim))
            if (candidate := np.ascontiguousarray(value.transpose(axes))) is not None
            and np.array_equal(hook_fn(candidate, value.shape) if hook_fn else candidate, value)
        )


def save_timm(folder: Path, architecture: str = SMALL, **config: Any) -> keras.Model:
    """Saves a checkpoint with weights that are drawn, and returns KerasHub's network with the same weights.

    Args:
        folder: Folder that is made.
        architecture: Name of a network that KerasHub converts.
        config: Keys of config.json that are added or replaced.
    """
    content = {
        "architecture": architecture,
        "num_classes": 1000,
        "pretrained_cfg": {
            "input_size": [3, 64, 64],
            "interpolation": "bicubic",
            "mean": MEAN,
            "std": DEVIATION,
            "license": "bsd-3-clause",
        },
    } | config
    keras.utils.set_random_seed(0)
    converter = TimmPresetLoader(str(folder), content).converter
    network: keras.Model = converter.backbone_cls(**converter.convert_backbone_config(content))
    generator = np.random.default_rng(0)
    for weight in network.weights:
        noise = generator.normal(0, 0.1, weight.shape)
        weight.assign(weight + (np.abs(noise) if weight.name == "moving_variance" else noise))
    writer = _Writer()
    converter.convert_weights(network, writer, content)
    folder.mkdir(parents=True)
    save_file(writer.tensors | {"fc.weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "README.md").write_text(
        "---\ntags:\n- timm\nlicense: apache-2.0\nlibrary_name: timm\n---\n# Model card\n"
    )
    return network
