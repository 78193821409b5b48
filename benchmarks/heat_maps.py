"""Compares attention rollout with Grad-CAM as heat maps of transformers, where it is known what decides.

    python benchmarks/heat_maps.py

Small transformers of KerasHub learn to tell a red patch from a blue one, which lies anywhere in an image of noise.
The figures are the shares of new images whose brightest patch is that one; there are 64 patches. Grad-CAM is that of
the tokens that enter the last block. It needs no data and no pretrained weights.
"""

import argparse
import tempfile
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import add_features_output, build_classifier, cut_classifier
from headstart.components.core.networks.heat_maps import compute_heat_maps
from headstart.components.core.networks.hub_network import build_hub_network
from headstart.components.core.recipes.hub_preset import open_hub_preset

_SIZE, _PATCH, _SIDE = 64, 8, 8
_SHAPE = {"image_shape": (_SIZE, _SIZE, 3), "patch_size": _PATCH, "num_layers": 3, "num_heads": 2, "hidden_dim": 32}
_TRAINING_IMAGES, _TEST_IMAGES = 1500, 200
_COLOURS = ((40, 40, 220), (220, 40, 40))


def main() -> None:
    """Trains each network and prints its figures."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name in ("vit", "dinov2"):
        keras.utils.set_random_seed(1)
        generator = np.random.default_rng(0)
        model, backbone = _build(name)
        pixels, labels, _ = _draw(generator, _TRAINING_IMAGES)
        model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
        model.fit(pixels, labels, epochs=12, batch_size=50, verbose=0)
        pixels, labels, places = _draw(generator, _TEST_IMAGES)
        accuracy = ((np.asarray(model(pixels))[:, 0] > 0.5) == labels).mean()
        rollout = compute_heat_maps(model, backbone, pixels, labels).reshape(len(pixels), -1)
        grad_cam = _grad_cam_of_tokens(model, backbone, pixels, labels)
        found = {
            way: (heat.argmax(1) == places).mean() for way, heat in (("rollout", rollout), ("Grad-CAM", grad_cam))
        }
        print(f"{name}: accuracy {accuracy:.2f},", ", ".join(f"{way} {share:.2f}" for way, share in found.items()))


def _build(name: str) -> tuple[keras.Model, str]:
    if name == "vit":
        network: Any = keras_hub.models.ViTBackbone(mlp_dim=64, **_SHAPE)
        converter = keras_hub.layers.ViTImageConverter
    else:
        own = {"intermediate_dim": 64, "position_embedding_shape": (_SIZE, _SIZE, 3), "layer_scale_init_value": 0.5}
        network = keras_hub.models.DINOV2Backbone(**_SHAPE, **own)
        converter = keras_hub.layers.DINOV2ImageConverter
    with tempfile.TemporaryDirectory() as folder:
        network.save_to_preset(folder)
        converter(image_size=(_SIZE, _SIZE), scale=1 / 127.5, offset=-1).save_to_preset(folder)
        row = get_backbone(f"hub:{folder}")
        with open_hub_preset(row) as files:
            base = build_hub_network(files, row, _SIZE)
    return build_classifier(base, "none", row.head, 2, _SIZE), base.name


def _draw(generator: np.random.Generator, images: int) -> tuple[Any, Any, Any]:
    pixels = generator.normal(128, 40, (images, _SIZE, _SIZE, 3))
    labels, places = generator.integers(0, 2, images), generator.integers(0, _SIDE**2, images)
    for image, label, place in zip(pixels, labels, places, strict=True):
        row, column = _PATCH * (place // _SIDE), _PATCH * (place % _SIDE)
        image[row : row + _PATCH, column : column + _PATCH] = _COLOURS[label]
    return np.clip(pixels, 0, 255).astype(np.float32), labels, places


def _grad_cam_of_tokens(model: keras.Model, backbone: str, pixels: Any, labels: Any) -> Any:
    attention = [
        each for each in model.get_layer(backbone).layers if isinstance(each, keras.layers.MultiHeadAttention)
    ]
    parts = cut_classifier(model, backbone, attention[-1].name)
    features = keras.Model(parts.tail.input, add_features_output(parts.tail).outputs[1])
    tokens, output = parts.front(pixels), model.layers[-1]
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        score = (features(tokens) @ output.kernel + output.bias)[:, 0] * (2.0 * labels - 1)
    gradient = tape.gradient(score, tokens)[:, -(_SIDE**2) :]
    weights = tf.reduce_mean(gradient, axis=1, keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * tokens[:, -(_SIDE**2) :], axis=-1)).numpy()


if __name__ == "__main__":
    main()
