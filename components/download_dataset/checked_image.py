"""Check of one image: decodes it in full and prepares it to be measured and stored."""

import dataclasses
import io

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.images.decoding import RejectedImage, decode_image, view_as_image
from headstart.components.core.images.sample_ranges import Range, Ranges

_SAMPLE_SIDE = 128


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that decodes.

    Attributes:
        encoded: JPEG or PNG, RGB and upright: the original bytes if they are that already.
        id: XXH3 (128 bits) of "WIDTHxHEIGHT:" and the pixels that `encoded` decodes to, as RGB with a fourth byte of
            255 each; 16 bytes.
        width: Width of `encoded`, in pixels.
        height: Height of `encoded`, in pixels.
        format: Format of the file: see `core.images.decoding.DecodedImage`.
        original_bytes: Size of the file in bytes.
        original_width: Width of the upright image in the file, in pixels.
        original_height: Height of the upright image in the file, in pixels.
        camera: Maker and model by EXIF; empty: not recorded.
        sample: Some of the pixels, RGB with a fourth byte, at most 128 along the longest side.
        form: Form of an image of more than 8 bits, see `core.images.sample_ranges.sample_form`; empty for others.
        range: Sample values that became black and white; None where `form` is empty.
    """

    encoded: bytes
    id: bytes
    width: int
    height: int
    format: str
    original_bytes: int
    original_width: int
    original_height: int
    camera: str
    sample: Image.Image
    form: str = ""
    range: Range | None = None


def check_image(content: bytes, max_side: int, ranges: Ranges | None = None) -> CheckedImage | RejectedImage:
    """Decodes a file's bytes and hashes the pixels; an image that must be encoded anew becomes PNG.

    Args:
        content: Bytes of the file.
        max_side: Longest side to keep, in pixels; larger images are reduced.
        ranges: See `core.images.decoding.decode_image`.
    """
    decoded = decode_image(content, max_side, ranges)
    if isinstance(decoded, RejectedImage):
        return decoded
    height, width, _ = decoded.pixels.shape
    return CheckedImage(
        encoded=decoded.encoded or _encode_png(decoded.pixels),
        id=_hash_pixels(decoded.pixels),
        width=width,
        height=height,
        format=decoded.format,
        original_bytes=len(content),
        original_width=decoded.width,
        original_height=decoded.height,
        camera=decoded.camera,
        sample=_sample_pixels(decoded.pixels),
        form=decoded.form,
        range=decoded.range,
    )


def _encode_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    view_as_image(pixels).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _hash_pixels(pixels: NDArray[np.uint8]) -> bytes:
    digest = xxhash.xxh3_128(f"{pixels.shape[1]}x{pixels.shape[0]}:".encode())
    digest.update(pixels.data)
    return bytes(digest.digest())


def _sample_pixels(pixels: NDArray[np.uint8]) -> Image.Image:
    """Nearest pixels on a coarser grid: a filtered reduction would cost half as much as decoding."""
    image = view_as_image(pixels)
    factor = max(image.size) / _SAMPLE_SIDE
    if factor <= 1:
        return image
    wide, high = (max(1, round(side / factor)) for side in image.size)
    return image.resize((wide, high), Image.Resampling.NEAREST)
