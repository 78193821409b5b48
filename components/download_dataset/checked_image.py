"""One picture, checked: decoded in full, and made ready to be measured and stored."""

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
class Picture:
    """A picture that decodes.

    Attributes:
        encoded: JPEG or PNG, RGB and upright: the original bytes where they are that already.
        id: XXH3 (128 bits) of "WIDTHxHEIGHT:" and the pixels that `encoded` decodes to, as RGB with a fourth byte of
            255 each; 16 bytes.
        width: Of `encoded`, in pixels.
        height: Likewise.
        format: What the file was: see `core.images.decoding.DecodedImage`.
        original_bytes: Of the file.
        original_width: Of the file, upright, in pixels.
        original_height: Likewise.
        camera: Maker and model by EXIF; empty where it does not say.
        sample: Some of the pixels, RGB with a fourth byte, longest side at most 128 of them.
        form: Form of a deep picture, see `core.images.sample_ranges.sample_form`; empty for any other.
        range: The sample values that became black and white; None where `form` is empty.
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


def check(content: bytes, max_side: int, ranges: Ranges | None = None) -> Picture | RejectedImage:
    """Decodes a file's bytes, see `core.images.decoding.decode_image`, and names the picture by its pixels.

    What has no bytes of its own to be stored in is stored as PNG.

    Args:
        content: The file's bytes.
        max_side: Longest side that is kept, in pixels.
        ranges: See `core.images.decoding.decode_image`.
    """
    decoded = decode_image(content, max_side, ranges)
    if isinstance(decoded, RejectedImage):
        return decoded
    height, width, _ = decoded.pixels.shape
    return Picture(
        encoded=decoded.encoded or _png(decoded.pixels),
        id=_pixel_hash(decoded.pixels),
        width=width,
        height=height,
        format=decoded.format,
        original_bytes=len(content),
        original_width=decoded.width,
        original_height=decoded.height,
        camera=decoded.camera,
        sample=_sample(decoded.pixels),
        form=decoded.form,
        range=decoded.range,
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    view_as_image(pixels).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    digest = xxhash.xxh3_128(f"{pixels.shape[1]}x{pixels.shape[0]}:".encode())
    digest.update(pixels.data)
    return bytes(digest.digest())


def _sample(pixels: NDArray[np.uint8]) -> Image.Image:
    """Some of the pixels: a filtered reduction would cost half a decoding."""
    image = view_as_image(pixels)
    factor = max(image.size) / _SAMPLE_SIDE
    if factor <= 1:
        return image
    wide, high = (max(1, round(side / factor)) for side in image.size)
    return image.resize((wide, high), Image.Resampling.NEAREST)
