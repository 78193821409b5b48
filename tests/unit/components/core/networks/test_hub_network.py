"""Presets of KerasHub as backbones."""

import json
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
from support.hub_presets import SIZE, save_preset

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import PREPROCESS
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.recipes.hub_preset import open_hub_preset

PHOTOS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
COARSE = 1e-5


def built(folder: Path, size: int = SIZE) -> keras.Model:
    backbone = get_backbone(f"hub:{folder}")
    with open_hub_preset(backbone) as files:
        return build_hub_network(files, backbone, size)


def expected(name: str, folder: Path, scaled: np.ndarray) -> np.ndarray:
    """Features by KerasHub itself."""
    network = keras_hub.models.Backbone.from_preset(str(folder))
    network = network.vision_encoder if name == "siglip" else network
    inputs = {"images": scaled} if isinstance(network.input, dict) else scaled
    output = np.asarray(network(inputs))
    if name in ("vit", "deit"):
        return output[:, 0]
    if name == "vit_without_class_token":
        return output.mean(axis=1)
    if name.startswith("dinov2"):
        first = 3 if name == "dinov2_with_registers" else 1
        return np.concatenate([output[:, 0], output[:, first:].mean(axis=1)], axis=1)
    return output


@pytest.mark.parametrize(
    "name", ["vit", "vit_without_class_token", "deit", "dinov2", "dinov2_with_registers", "siglip"]
)
def test_features_are_those_of_kerashub(name: str, tmp_path: Path) -> None:
    base = built(save_preset(name, tmp_path / "preset"))
    converter = keras_hub.layers.ImageConverter.from_preset(str(tmp_path / "preset"))
    scaled = np.asarray(converter(PHOTOS))
    assert np.abs(np.asarray(base.get_layer(PREPROCESS)(PHOTOS)) - scaled).max() < COARSE
    features = expected(name, tmp_path / "preset", scaled)
    if features.ndim == 2:
        features = features[:, None, None]
    assert base.output.shape[1:] == features.shape[1:]
    assert np.allclose(np.asarray(base(PHOTOS)), features, rtol=1e-4, atol=COARSE * np.abs(features).max())
    # Nothing of KerasHub is left in it.
    assert "keras_hub" not in json.dumps(base.get_config(), default=str)


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("hub:dinov2_small", "dinov2_small.hub"),
        ("hub:./presets/my vit/", "my_vit.hub"),
        ("hub:gs://bucket/presets/vit", "vit.hub"),
        ("kaggle://keras/vit/keras/vit_base/2", "vit_base.hub"),
        ("hf://google/vit-base", "vit_base.hub"),
        ("vit_base.hub", "vit_base.hub"),
    ],
)
def test_the_name_that_a_model_knows(name: str, known_as: str) -> None:
    assert get_backbone(name).name == known_as
