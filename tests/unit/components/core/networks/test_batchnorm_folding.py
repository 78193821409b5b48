from typing import Any

import keras
import numpy as np
import pytest

from headstart.components.core.backbones.table import NO_WEIGHTS, get_backbone
from headstart.components.core.networks.batchnorm_folding import fold_batchnorm
from headstart.components.core.networks.classifier import BACKBONE_END, build_classifier, cut_classifier
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone

SIZE = 75
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.float32)


def norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    inner = [norm for layer in model.layers if isinstance(layer, keras.Model) for norm in norms(layer)]
    return inner + [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def unsettle(model: keras.Model) -> None:
    """Gives every BatchNormalization weights and statistics of its own, near those under which a signal passes."""
    random = np.random.default_rng(1)
    for layer in norms(model):
        layer.set_weights([each + random.uniform(-0.2, 0.2, each.shape) for each in layer.get_weights()])


def difference(one: keras.Model, other: keras.Model, inputs: Any) -> float:
    """Largest difference of outputs, as a share of the largest output."""
    wanted, given = (np.asarray(model(inputs, training=False)) for model in (one, other))
    assert np.abs(wanted).max() > 0
    return float(np.abs(wanted - given).max() / np.abs(wanted).max())


@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3_small", "resnet50", "inception_v3", "xception", "efficientnet_v2_b0"]
)
def test_parts_of_a_classifier_say_the_same_without_batch_normalization(name: str) -> None:
    backbone = get_backbone(name)
    keras.utils.set_random_seed(0)
    base = build_pretrained_backbone(backbone, SIZE, NO_WEIGHTS)
    unsettle(base)
    model = build_classifier(base, backbone.preprocessing, backbone.head, 3, SIZE)
    before = model.get_weights()
    for point in (BACKBONE_END, backbone.unfreeze_from):
        parts = cut_classifier(model, name, point)
        quick = fold_batchnorm(parts.front)
        assert norms(parts.front) and norms(quick) == []
        assert difference(parts.front, quick, PIXELS) < 1e-4
        activations = parts.front(PIXELS, training=False)
        assert difference(parts.tail, fold_batchnorm(parts.tail), activations) < 1e-4
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_network_without_batch_normalization_stays_what_it_is() -> None:
    for name in ("vgg16", "convnext_tiny"):
        backbone = get_backbone(name)
        base = build_pretrained_backbone(backbone, 32, NO_WEIGHTS)
        model = build_classifier(base, backbone.preprocessing, backbone.head, 2, 32)
        assert fold_batchnorm(model) is model


def network(convolution: keras.Layer, **norm: Any) -> keras.Model:
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, keras.layers.BatchNormalization(**norm)(convolution(inputs)))


@pytest.mark.parametrize(
    ("convolution", "norm"),
    [
        (keras.layers.Conv2D(6, 3, use_bias=False), {}),
        (keras.layers.Conv2D(6, 3, strides=2, padding="same"), {"scale": False, "epsilon": 0.1}),
        (keras.layers.DepthwiseConv2D(3, bias_initializer="normal"), {"center": False}),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), {"axis": 3}),
        (keras.layers.SeparableConv2D(6, 3, bias_initializer="normal"), {}),
    ],
    ids=["bare", "bias", "depthwise", "depthwise_bare", "separable"],
)
def test_kernel_and_bias_take_over(convolution: keras.Layer, norm: dict[str, Any]) -> None:
    model = network(convolution, **norm)
    unsettle(model)
    quick = fold_batchnorm(model)
    assert norms(quick) == []
    assert difference(model, quick, np.random.default_rng(2).normal(size=(2, 8, 8, 4)).astype(np.float32)) < 1e-5


@pytest.mark.parametrize("why", ["activation", "two takers", "result", "another axis"])
def test_what_cannot_be_folded_is_left(why: str) -> None:
    layers, inputs = keras.layers, keras.Input((8, 8, 4))
    convolution = layers.Conv2D(8, 3, padding="same", activation="relu" if why == "activation" else None)
    x = convolution(inputs)
    y = layers.BatchNormalization(axis=1 if why == "another axis" else -1)(x)
    outputs = {"two takers": layers.Add()([x, y]), "result": [x, y]}.get(why, y)
    model = keras.Model(inputs, outputs)
    assert fold_batchnorm(model) is model
