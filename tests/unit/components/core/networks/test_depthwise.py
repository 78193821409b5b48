from pathlib import Path

import keras
import numpy as np

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import build_backbone, get_blocks
from headstart.components.core.networks.depthwise import use_depthwise_convolutions
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone

SIZE = 64


def grouped(base: keras.Model) -> list[str]:
    return [layer.name for layer in base.layers if getattr(layer, "groups", 1) > 1]


def test_convnext_gives_the_same_output_with_depthwise_layers(tmp_path: Path) -> None:
    backbone = get_backbone("convnext_tiny")
    keras.utils.set_random_seed(0)
    theirs = build_backbone(backbone, SIZE)
    for layer in theirs.layers:
        # Keras begins with a millionth, under which no block's convolution would be seen in the output.
        if layer.name.endswith("layer_scale"):
            layer.set_weights([np.linspace(0.5, 1.5, len(values)) for values in layer.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = build_pretrained_backbone(backbone, SIZE, str(tmp_path / "theirs.weights.h5"))

    assert len(grouped(theirs)) == 18 and grouped(ours) == []
    names = [[layer.name for layer in base.layers[1:]] for base in (theirs, use_depthwise_convolutions(theirs))]
    assert names[0] == names[1]
    assert get_blocks(ours).keys() == get_blocks(theirs).keys()
    pixels = np.random.default_rng(0).normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    wanted, output = theirs(pixels, training=False), ours(pixels, training=False)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(output, wanted, atol=1e-4)


def test_network_without_such_convolutions_stays_what_it_is() -> None:
    for name in ("mobilenet_v2", "resnet50"):
        base = build_backbone(get_backbone(name), SIZE)
        assert use_depthwise_convolutions(base) is base


def test_strides_bias_and_activation_are_kept() -> None:
    inputs = keras.Input((9, 9, 4))
    layer = keras.layers.Conv2D(4, 3, 2, "same", groups=4, use_bias=False, activation="relu", name="each")
    in_two = keras.layers.Conv2D(4, 3, groups=2, name="in_two")
    theirs = keras.Model(inputs, in_two(layer(inputs)), name="network")
    ours = use_depthwise_convolutions(theirs)
    assert isinstance(ours.get_layer("each"), keras.layers.DepthwiseConv2D)
    assert type(ours.get_layer("in_two")) is keras.layers.Conv2D and ours.name == "network"
    pixels = np.random.default_rng(1).normal(size=(3, 9, 9, 4)).astype(np.float32)
    np.testing.assert_allclose(ours(pixels), theirs(pixels), atol=1e-5)
