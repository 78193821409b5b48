"""The small convnet of method 1: what one gets without transfer."""

import keras

CONVNET = "convnet"

_FILTERS = (32, 64, 128, 128)


def build_convnet(image_size: int) -> keras.Model:
    """Four 3 x 3 convolutions, each followed by 2 x 2 max-pooling, with random weights.

    Source: "Deep Learning with R", chapter 5, a convnet for a small dataset; padded here, so that small images
    leave a feature map.

    Args:
        image_size: Side of the input in pixels, at least 16.
    """
    pixels = keras.Input((image_size, image_size, 3))
    x = pixels
    for number, filters in enumerate(_FILTERS, start=1):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
    return keras.Model(pixels, x, name=CONVNET)
