"""Sketchnet, the project's own small backbone, fast on a CPU."""

import keras

_STEM_FILTERS = 24
_BLOCKS = ((32, 1), (56, 2), (88, 2), (112, 2))
_BN_MOMENTUM = 0.9


def build_sketchnet(input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds the network with random weights, without pooling and head.

    A strided 3x3 convolution and four blocks of two 3x3 convolutions each. An identity shortcut bypasses the second
    convolution of a block (He et al., Deep Residual Learning for Image Recognition, 2016). Batch normalisation and
    ReLU follow each convolution. 379,176 parameters. A single tensor connects two blocks, so a model can be cut at
    ``blockN_conv1``, `N` from 1 to 4.

    Args:
        input_shape: Height, width (at least 32 pixels each) and channels (3). The project's weights were trained at
            64 x 64.

    Returns:
        A functional model from float RGB pixels scaled to [-1, 1] to a feature map of 112 channels, whose height and
        width are a sixteenth of the input's, rounded up.
    """
    pixels = keras.Input(input_shape)
    features = _convolution(pixels, _STEM_FILTERS, 2, "stem_conv", "stem_bn")
    features = keras.layers.ReLU(name="stem_relu")(features)
    for number, (filters, stride) in enumerate(_BLOCKS, start=1):
        features = _block(features, filters, stride, f"block{number}")
    return keras.Model(pixels, features, name="sketchnet")


def _block(features: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    features = _convolution(features, filters, stride, f"{name}_conv1", f"{name}_bn1")
    shortcut = keras.layers.ReLU(name=f"{name}_relu1")(features)
    features = _convolution(shortcut, filters, 1, f"{name}_conv2", f"{name}_bn2")
    features = keras.layers.Add(name=f"{name}_add")([shortcut, features])
    return keras.layers.ReLU(name=f"{name}_relu2")(features)


def _convolution(
    features: keras.KerasTensor, filters: int, stride: int, name: str, norm_name: str
) -> keras.KerasTensor:
    features = keras.layers.Conv2D(
        filters, 3, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(features)
    return keras.layers.BatchNormalization(momentum=_BN_MOMENTUM, name=norm_name)(features)
