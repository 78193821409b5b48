"""Images given as values in memory, made into files so that they are read like all others."""

import contextlib
import functools
import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.named_images import NamedImage, PassOver, find_images

_PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")
"""Modes of Pillow that a PNG file keeps without a loss."""

_CHANNELS = (1, 3, 4)
_FASTEST = 1


def find_given_images(
    images: Iterable[object], opened: contextlib.ExitStack, image_column: str, pass_over: PassOver
) -> Iterator[NamedImage]:
    """Finds images that are named by paths or given as values; the latter are named ``image 1``, ``image 2``, ….

    Args:
        images: Paths and addresses as `find_images` takes them, bytes of image files, Pillow images, and arrays of
            RGB or grey pixels 0-255 (uint8): (height, width), (height, width, channels), or several of equal size as
            (images, height, width, channels).
        opened: Stack that closes archives and removes downloads.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
        pass_over: Function that gets the path of each file that is passed over.

    Raises:
        HeadstartError: If a value is none of these.
    """
    number = 0
    for image in images:
        if isinstance(image, str):
            yield from find_images([image], opened, image_column, pass_over)
            continue
        for content in _encode(image):
            number += 1
            yield NamedImage(f"image {number}", functools.partial(bytes, content))


def _encode(image: object) -> Iterator[bytes]:
    """Bytes of a file of each image that a value holds."""
    if isinstance(image, bytes | bytearray | memoryview):
        yield bytes(image)
    elif isinstance(image, Image.Image):
        yield _encode_pillow(image)
    elif hasattr(image, "__array__"):
        pixels = np.asarray(image)
        _check_pixels(pixels)
        for each in pixels if pixels.ndim == 4 else [pixels]:
            yield _encode_pillow(Image.fromarray(each[..., 0] if each.ndim == 3 and each.shape[2] == 1 else each))
    else:
        raise HeadstartError(
            f"images: a value of type {type(image).__name__} is no image; give paths, addresses, bytes of image "
            "files, Pillow images or arrays"
        )


def _check_pixels(pixels: NDArray[np.generic]) -> None:
    shape = " x ".join(map(str, pixels.shape))
    if pixels.ndim not in (2, 3, 4) or not pixels.size or (pixels.ndim > 2 and pixels.shape[-1] not in _CHANNELS):
        raise HeadstartError(
            f"images: an array of shape {shape or 'of a number'} is no image; give (height, width), "
            "(height, width, 3), or (images, height, width, 3)"
        )
    if pixels.dtype != np.uint8:
        raise HeadstartError(
            f"images: an array of {pixels.dtype} says not what is black and white; give uint8 pixels 0 to 255, such "
            "as (array * 255).round().astype('uint8') of an array from 0 to 1"
        )


def _encode_pillow(image: Image.Image) -> bytes:
    """Bytes of a lossless file of an image, upright."""
    image = ImageOps.exif_transpose(image)
    if image.mode not in (*_PNG_MODES, "F"):
        image = image.convert("RGB")
    file = io.BytesIO()
    if image.mode == "F":
        image.save(file, "TIFF")
    else:
        image.save(file, "PNG", compress_level=_FASTEST)
    return file.getvalue()
