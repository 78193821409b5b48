"""Heat maps of transformers; those of convolutional networks are tested with the evaluation."""

from pathlib import Path

import keras
import numpy as np
import pytest
from support.hub_presets import SIZE, save_preset

from headstart.components.core.backbones.table import Head, get_backbone
from headstart.components.core.networks.classifier import build_classifier
from headstart.components.core.networks.heat_maps import compute_heat_maps
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.networks.own_network import AS_MAP
from headstart.components.core.recipes.hub_preset import open_hub_preset

LABELS = np.array([0, 1])


def build_own(attends: bool) -> keras.Model:
    """A network of 16 patches; with attention, each of them attends to what is red."""
    layers = keras.layers
    pixels = keras.Input((32, 32, 3))
    tokens = x = layers.Reshape((16, 2))(layers.Conv2D(2, 8, strides=8, use_bias=False, name="patches")(pixels))
    if attends:
        x = layers.Add()([tokens, layers.MultiHeadAttention(1, 2, name="attention")(tokens, tokens)])
    vector = layers.Reshape((1, 1, 2), name=AS_MAP)(layers.GlobalAveragePooling1D()(x))
    base = keras.Model(pixels, vector, name="base")
    red = np.zeros((8, 8, 3, 2), np.float32)
    red[..., 0, 0] = 1 / 64
    base.get_layer("patches").set_weights([red])
    if attends:
        attention = base.get_layer("attention")
        attention.query_dense.set_weights([np.zeros((2, 1, 2)), np.array([[10, 0]])])
        attention.key_dense.set_weights([np.eye(2)[:, None], np.zeros((1, 2))])
    return build_classifier(base, "tf", Head("average"), 2, 32)


def test_rollout_marks_what_all_patches_attend_to() -> None:
    pixels = np.zeros((2, 32, 32, 3), np.float32)
    pixels[0, 8:16, 16:24, 0] = 255
    red, even = compute_heat_maps(build_own(attends=True), "base", pixels, LABELS)
    assert red.argmax() == 1 * 4 + 2
    # Half of each token is itself, and the rest is the red one: of sixteen, 1/32 and 1/32 + 1/2.
    assert np.allclose(np.sort(red.ravel()), [*[1 / 17] * 15, 1], atol=1e-3)
    assert np.allclose(even, 1), "nothing red, and all count alike"
    assert compute_heat_maps(build_own(attends=False), "base", pixels, LABELS).shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("vit", 4),
        ("vit_without_class_token", 4),
        ("deit", 4),
        ("dinov2_with_registers", 8),
        ("dinov3_with_registers", 8),
        ("siglip", 4),
        ("swin", 4),
        ("mobilenetv5", 2),
        ("resnet", 4),
    ],
)
def test_every_family_has_maps_with_places(name: str, side: int, tmp_path: Path) -> None:
    backbone = get_backbone(f"hub:{save_preset(name, tmp_path / 'preset')}")
    with open_hub_preset(backbone) as files:
        base = build_hub_network(files, backbone, SIZE)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    model = build_classifier(base, "none", backbone.head, 3, SIZE)
    heat = compute_heat_maps(model, base.name, pixels, LABELS)
    assert heat.shape == (2, side, side)
    assert np.isfinite(heat).all() and heat.min() >= 0
    if name not in ("swin", "mobilenetv5", "resnet"):
        assert np.allclose(heat.max(axis=(1, 2)), 1)
        assert not np.allclose(heat[0], heat[1]), "it depends on the image"
