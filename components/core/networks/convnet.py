"""Small convnet that is trained from scratch, for comparison with transfer learning."""

import keras

from headstart.components.core.util.errors import HeadstartError

CONVNET = "convnet"

_FILTERS = (32, 64, 128, 128)
_LEAST_SIZE = {"same": 16, "valid": 46}


def build_convnet(image_size: int, padding: str = "same") -> keras.Model:
    """Builds four 3 x 3 convolutions, each followed by 2 x 2 max-pooling, with random weights.

    Source: "Deep Learning with R", section 5.2, a convnet for a small dataset, which does not pad.

    Args:
        image_size: Side of the input in pixels.
        padding: Padding of the convolutions: ``same``, for at least 16 pixels a side, or ``valid``, for at least 46.

    Raises:
        HeadstartError: If the image is smaller than that.
    """
    if image_size < _LEAST_SIZE[padding]:
        raise HeadstartError(
            f"image size {image_size} leaves the convnet no feature map with padding {padding!r}; choose at least "
            f"{_LEAST_SIZE[padding]} pixels"
        )
    pixels = keras.Input((image_size, image_size, 3))
    x = pixels
    for number, filters in enumerate(_FILTERS, start=1):
        x = keras.layers.Conv2D(filters, 3, padding=padding, activation="relu", name=f"conv{number}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
    return keras.Model(pixels, x, name=CONVNET)
