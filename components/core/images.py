"""One picture, decoded in full: upright, RGB, no larger than asked for. Training and prediction both see it so."""

import contextlib
import dataclasses
import io
import zlib

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""What is read, by content; Pillow's other decoders stay closed to what comes from outside."""

MIN_SIDE = 8
"""Shortest side of a picture, in pixels; below it nothing can be seen."""

MAX_ASPECT = 20
"""Longest side over shortest; above it a picture is a strip that resizing to a square makes unreadable."""

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Pixels of a picture, at most: Pillow's own limit, a quarter of a gigabyte as RGB."""

_JPEGS = ("JPEG", "MPO")
_JPEG_QUALITY = 95
_MAX_OVERHEAD_BYTES = 2**16
_EXIF_ORIENTATION, _EXIF_MAKE, _EXIF_MODEL = 0x0112, 0x010F, 0x0110
_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypavif")


@dataclasses.dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that decodes.

    Attributes:
        pixels: uint8 (height, width, 4): RGB and a fourth byte of 255, upright and reduced.
        encoded: Bytes that every decoder reads these pixels from: the original ones where they are that already, a
            JPEG of quality 95 where a lossy picture was reduced; empty: it is to be stored without loss.
        format: What the file was: one of `FORMATS`.
        width: Of the file, upright, in pixels.
        height: Likewise.
        camera: Maker and model by EXIF; empty where it does not say.
    """

    pixels: NDArray[np.uint8]
    encoded: bytes
    format: str
    width: int
    height: int
    camera: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """Why a file is no picture one can use.

    Attributes:
        reason: A word or two to count by: ``empty``, ``not an image``, ``unsupported``, ``truncated``, ``damaged``,
            ``too large``, ``too small``, ``strip``.
        detail: What the decoder said.
    """

    reason: str
    detail: str


def decode(content: bytes, max_side: int) -> Decoded | Rejected:
    """Decodes a file's bytes; what it holds decides the format, not its name.

    A picture whose bytes every decoder reads alike, and that is small enough, keeps its bytes. Any other is turned
    upright, made RGB (white where it was transparent) and reduced with a Lanczos filter; a reduced picture from a
    lossy format passes through JPEG of quality 95, as it does on its way to training.

    Args:
        content: The file's bytes.
        max_side: Longest side that is kept, in pixels; 0: any.
    """
    if not content:
        return Rejected("empty", "the file has no bytes")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            wrong = _wrong_size(image)
            if wrong:
                return wrong
            return _decoded(image, content, max_side or max(image.size))
    except UnidentifiedImageError:
        return _unidentified(content)
    except (Image.DecompressionBombError, MemoryError) as error:
        return Rejected("too large", str(error) or type(error).__name__)
    except Exception as error:
        # Decoders raise whatever a damaged file leads them to: OSError, SyntaxError, ValueError, struct.error.
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        return Rejected(reason, f"{type(error).__name__}: {error}")


def _wrong_size(image: Image.Image) -> Rejected | None:
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        return Rejected("too large", f"{size}; the most is {MAX_PIXELS:,} in all")
    if min(image.size) < MIN_SIDE:
        return Rejected("too small", f"{size}; the least is {MIN_SIDE} a side")
    if max(image.size) > MAX_ASPECT * min(image.size):
        return Rejected("strip", f"{size}; one side is more than {MAX_ASPECT} times the other")
    return None


def _unidentified(content: bytes) -> Rejected:
    if content[4:12] in _HEIF_BRANDS:
        return Rejected("unsupported", "HEIF or AVIF; convert it to JPEG")
    return Rejected("not an image", f"its first bytes are no known picture's; read are {', '.join(FORMATS)}")


def _decoded(image: Image.Image, content: bytes, max_side: int) -> Decoded | Rejected:
    kind = "JPEG" if image.format in _JPEGS else str(image.format)
    orientation, camera = _exif(image)
    width, height = image.size if orientation < 5 else image.size[::-1]
    if orientation == 1 and max(image.size) <= max_side and _decodes_alike(image, kind, content):
        encoded, pixels = content, _pixels(image, content)
    else:
        if kind == "JPEG" and max(image.size) > 2 * max_side:
            # The decoder itself halves JPEGs, to no less than twice what is wanted: a fraction of the time.
            image.draft(None, (2 * max_side, 2 * max_side))
        image.load()
        try:
            rgb = _to_rgb(ImageOps.exif_transpose(image) if orientation != 1 else image)
        except ValueError as error:
            return Rejected("unsupported", f"{kind} of mode {image.mode}: {error}")
        if kind != "JPEG":
            # Before a TIFF is decoded, its size is turned already or not yet, by Pillow's version.
            width, height = rgb.size
        reduced = _reduced(rgb, width, height, max_side)
        lossy = max(width, height) > max_side and (kind == "JPEG" or content[12:16] == b"VP8 ")
        encoded = _jpeg(reduced) if lossy else b""
        pixels = _pixels(Image.open(io.BytesIO(encoded)) if lossy else reduced, encoded)
    if kind == "PNG" and not _png_is_whole(content):
        return Rejected("damaged", "a chunk of the PNG is cut off, or has a wrong checksum")
    return Decoded(pixels, encoded, kind, width, height, camera)


def _decodes_alike(image: Image.Image, kind: str, content: bytes) -> bool:
    """Whether Pillow and TensorFlow read the same RGB pixels from a file, before it is decoded.

    Not so where a decoder may choose: which frame of several, how to narrow 16 bits to 8, what lies behind what is
    transparent, whether arithmetic coding is known, whether a JPEG needs its end marker. A file that carries more
    than its pixels could need is not kept either.
    """
    if image.mode != "RGB" or len(content) > 3 * image.width * image.height + _MAX_OVERHEAD_BYTES:
        return False
    if kind == "PNG":
        eight_bits = content[24] == 8
        return eight_bits and "transparency" not in image.info and not getattr(image, "is_animated", False)
    if kind != "JPEG":
        return False
    ends = content.endswith(b"\xff\xd9") or content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
    return ends and not _is_arithmetic(content)


def _pixels(image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    """Decodes an RGB picture into four bytes a pixel.

    JPEGs go to libjpeg-turbo without Pillow between, which decodes with it too: the same pixels, sooner, and without
    a copy. Where it has the least doubt, Pillow decides, as it does for every other format.

    Args:
        image: RGB, opened.
        content: The bytes that it was opened from.
    """
    if image.format in _JPEGS:
        with contextlib.suppress(ValueError):
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGBA", strict=True)
            if pixels.shape[:2] == (image.height, image.width):
                return pixels
    return np.asarray(image.convert("RGBA"))


def _png_is_whole(content: bytes) -> bool:
    """Whether every chunk is there with its right CRC; Pillow lets some pass that TensorFlow refuses."""
    at = 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            return False
        if content[at + 4 : at + 8] == b"IEND":
            return True
        at = end
    return False


def _is_arithmetic(content: bytes) -> bool:
    """Whether a JPEG's start-of-frame marker announces arithmetic coding (SOF9 to SOF11, SOF13 to SOF15)."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker >= 0xC9
        if marker == 0xFF:
            at += 1
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return False


def _exif(image: Image.Image) -> tuple[int, str]:
    """Orientation (1 to 8) and camera. Damaged metadata is no metadata: it does not touch the pixels."""
    try:
        exif = image.getexif()
        orientation = exif.get(_EXIF_ORIENTATION, 1)
        camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (_EXIF_MAKE, _EXIF_MODEL)).strip()
    except Exception:
        return 1, ""
    return (orientation if orientation in range(1, 9) else 1), camera


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB; what is transparent becomes white, 16 bits keep their upper eight."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        lightest = values.max(where=np.isfinite(values), initial=0)
        gray = values * 255 if lightest <= 1 else values
        return Image.fromarray(np.nan_to_num(gray).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reduced(image: Image.Image, width: int, height: int, max_side: int) -> Image.Image:
    """The picture at its own size, or with its longest side at `max_side`.

    Args:
        image: Upright; already reduced by a whole factor if the decoder could.
        width: Of the original, in pixels.
        height: Likewise.
        max_side: In pixels.
    """
    longest = max(width, height)
    if longest <= max_side:
        return image
    wide, high = (max(1, round(side * max_side / longest)) for side in (width, height))
    return image.resize((wide, high), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image of mode RGBX over pixels, uint8 (height, width, 4), where they lie in memory."""
    height, width, _ = pixels.shape
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def resized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """A picture as the classifier's own resizing hands it on.

    Pillow's filter for floating-point pixels is TensorFlow's antialiased one, and takes half its time.

    Args:
        pixels: uint8 (height, width, 4), RGB and a fourth byte.
        size: Side of the result in pixels.

    Returns:
        (size, size, 3), RGB 0-255.
    """
    shape = (size, size)
    bands = (band.convert("F").resize(shape, Image.Resampling.BILINEAR) for band in image_of(pixels).split()[:3])
    return np.stack([np.asarray(band) for band in bands], axis=-1)
