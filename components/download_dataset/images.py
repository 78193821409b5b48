"""One picture, checked: decoded in full, upright, RGB."""

import dataclasses
import hashlib
import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

MIN_SIDE = 8
"""Shortest side of a picture, in pixels; below it nothing can be seen."""

_KEPT_FORMATS = {"JPEG", "PNG"}
_EXIF_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that decodes.

    Attributes:
        encoded: JPEG or PNG, RGB and upright: the original bytes where they are that already.
        id: First 128 bits of the SHA-256 of size and pixels, in hexadecimal.
        width: In pixels.
        height: In pixels.
    """

    encoded: bytes
    id: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Rejected:
    """Why a file is no picture one can train on.

    Attributes:
        reason: A word to count by: ``empty``, ``not an image``, ``truncated``, ``too large``, ``too small``.
        detail: What the decoder said.
    """

    reason: str
    detail: str


def check(content: bytes | None) -> Picture | Rejected:
    """Decodes a file's bytes; what it holds decides the format, not its name.

    Args:
        content: The file's bytes; None stands for a file too large to read.
    """
    if content is None:
        return Rejected("too large", "the file is too large for a picture")
    if not content:
        return Rejected("empty", "the file has no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns at 89 million pixels and refuses at twice that; the warning is refusal enough.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Anything else it warns of (odd metadata) does not touch the pixels.
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                return _picture(image, content)
    except UnidentifiedImageError:
        return Rejected("not an image", f"starts with {content[:8]!r}")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Rejected("too large", str(error))
    except Exception as error:
        return Rejected("truncated", f"{type(error).__name__}: {error}")


def _picture(image: Image.Image, content: bytes) -> Picture | Rejected:
    if min(image.size) < MIN_SIDE:
        return Rejected("too small", f"{image.width} x {image.height} pixels; the least is {MIN_SIDE}")
    upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
    if image.format in _KEPT_FORMATS and image.mode == "RGB" and upright and not image.info.get("transparency"):
        rgb, encoded = image, content
    else:
        rgb = _to_rgb(ImageOps.exif_transpose(image))
        buffer = io.BytesIO()
        rgb.save(buffer, "PNG", compress_level=1)
        encoded = buffer.getvalue()
    pixels = hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode())
    pixels.update(rgb.tobytes())
    return Picture(encoded, pixels.hexdigest()[:32], rgb.width, rgb.height)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB; what is transparent becomes white, 16-bit gray keeps its upper eight bits."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
