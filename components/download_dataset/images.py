"""One picture, checked: decoded in full, and made ready to be measured and stored."""

import dataclasses
import io

import pyarrow as pa
import xxhash
from PIL import Image

from headstart.components.core.images import Rejected, decode

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
        format: What the file was: one of `FORMATS`.
        original_bytes: Of the file.
        original_width: Of the file, upright, in pixels.
        original_height: Likewise.
        camera: Maker and model by EXIF; empty where it does not say.
        sample: Some of the pixels, RGB, longest side at most 128 of them.
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


def check(content: bytes, max_side: int) -> Picture | Rejected:
    """Decodes a file's bytes, see `core.images.decode`, and names the picture by its pixels.

    What has no bytes of its own to be stored in is stored as PNG.

    Args:
        content: The file's bytes.
        max_side: Longest side that is kept, in pixels.
    """
    decoded = decode(content, max_side)
    if isinstance(decoded, Rejected):
        return decoded
    encoded, stored = decoded.encoded, decoded.image
    if not encoded:
        encoded = _png(stored)
        stored = Image.open(io.BytesIO(encoded))
        stored.load()
    return Picture(
        encoded=encoded,
        id=_pixel_hash(stored),
        width=stored.width,
        height=stored.height,
        format=decoded.format,
        original_bytes=len(content),
        original_width=decoded.width,
        original_height=decoded.height,
        camera=decoded.camera,
        sample=_sample(stored),
    )


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _pixel_hash(image: Image.Image) -> bytes:
    digest = xxhash.xxh3_128(f"{image.width}x{image.height}:".encode())
    try:
        # Pillow's own memory, four bytes a pixel: copying it out would take longer than hashing it.
        digest.update(pa.array(image).buffers()[-1])
    except ValueError:
        # Large pictures lie in several blocks.
        digest.update(image.tobytes("raw", "RGBX"))
    return bytes(digest.digest())


def _sample(image: Image.Image) -> Image.Image:
    """Some of the pixels: a filtered reduction would cost half a decoding."""
    factor = max(image.size) / _SAMPLE_SIDE
    if factor <= 1:
        return image
    wide, high = (max(1, round(side / factor)) for side in image.size)
    return image.resize((wide, high), Image.Resampling.NEAREST)
