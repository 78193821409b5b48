"""Deep images: more than 8 bits per sample. Pillow narrows most of them silently; here all bits are read."""

import dataclasses
import math
import re
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from headstart.components.core.images.sample_ranges import Range, range_of_significant_bits, sample_form, to_8_bits

_COLOURS = re.compile(r"(RGB|RGBA|RGBX);16[BLN]|[RGBA]")
_BITS, _PHOTOMETRIC, _DESCRIPTION, _FORMAT, _LEAST, _GREATEST = 258, 262, 270, 339, 340, 341
_WHITE_IS_ZERO, _SIGNED = 0, 2
_OTHER_ORDER = {"B": "L", "L": "B"}
_NUMBER = r"\s*=\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*$"
_IMAGEJ = re.compile(rf"^\s*min{_NUMBER}", re.MULTILINE), re.compile(rf"^\s*max{_NUMBER}", re.MULTILINE)
_OME = re.compile(r'<(?:\w+:)?Pixels\b[^>]*\bSignificantBits="(\d+)"')
_FIRST_CHUNK, _SIGNIFICANT_BITS, _PIXELS = 8, b"sBIT", b"IDAT"


@dataclasses.dataclass(frozen=True, slots=True)
class DeepImage:
    """The samples of a deep image.

    Attributes:
        form: Form of the samples, see `sample_form`.
        samples: Gray (height, width) or RGB (height, width, 3), in the file's data type.
        opacity: uint16 (height, width); None if nothing is transparent.
        inverted: True if the least value is white.
        stated: Range that the file states; None if it states none.
    """

    form: str
    samples: NDArray[np.generic]
    opacity: NDArray[np.uint16] | None
    inverted: bool
    stated: Range | None

    def opaque(self) -> NDArray[np.generic]:
        """Returns the visible samples, in no particular order."""
        return self.samples if self.opacity is None else self.samples[self.opacity > 0]

    def image(self, black: float, white: float) -> Image.Image:
        """Converts to 8 bits; the mode is L, LA, RGB or RGBA."""
        levels = to_8_bits(self.samples, black, white)
        if self.inverted:
            levels = 255 - levels
        image = Image.fromarray(levels)
        if self.opacity is not None:
            image.putalpha(Image.fromarray(to_8_bits(self.opacity, 0, 2**16 - 1)))
        return image


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image, not decoded yet, is for `read_deep`: a PNG or TIFF of more than 8 bits."""
    kind, raw = image.format, _raw_mode(image)
    if kind == "PNG":
        return ";16" in raw
    if kind != "TIFF":
        return False
    tags = _tags(image)
    colours = image.mode in ("RGB", "RGBA") and tags.get(_BITS, (8,))[0] == 16 and _COLOURS.fullmatch(raw)
    return bool(colours) or image.mode in ("F", "I") or image.mode.startswith("I;16")


def read_deep(image: ImageFile.ImageFile, again: ImageFile.ImageFile, content: bytes) -> DeepImage:
    """Decodes a deep image; a TIFF is upright, since Pillow turns it.

    Args:
        image: Opened image for which `is_deep` holds. Its own pixels are not usable afterwards.
        again: The same image, opened a second time.
        content: Bytes of the file.

    Raises:
        Exception: If the file is damaged; the type depends on the decoder.
    """
    samples, opacity = _read_samples(image, again)
    if image.format == "PNG":
        transparent = image.info.get("transparency")
        if opacity is None and transparent is not None:
            is_equal = samples == np.array(transparent, np.uint16)
            opacity = np.where(is_equal if samples.ndim == 2 else is_equal.all(axis=-1), 0, 2**16 - 1).astype(
                np.uint16
            )
        bits = _significant_bits(content, colours=1 if samples.ndim == 2 else 3)
        stated = range_of_significant_bits(samples, bits) if bits else None
        return DeepImage(sample_form("PNG", samples), samples, opacity, False, stated)
    tags = _tags(image)
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return DeepImage(sample_form("TIFF", samples), samples, opacity, inverted, _read_stated_range(tags))


def _tags(image: ImageFile.ImageFile) -> Any:
    """The tags of a TIFF, with Pillow's defaults for those that are absent."""
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Layout of the stored samples, as the decoder is told."""
    arguments = (image.tile[0].args if image.tile else "") or ""
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _read_samples(
    image: ImageFile.ImageFile, again: ImageFile.ImageFile
) -> tuple[NDArray[Any], NDArray[np.uint16] | None]:
    raw = _raw_mode(image)
    if raw == "LA;16B":
        # Four bytes per pixel, as in RGBA of 8 bits.
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        pairs = np.asarray(image).view(">u2").astype(np.uint16)
        return pairs[..., 0], pairs[..., 1]
    if _COLOURS.fullmatch(raw):
        _read_as(image, _byte_order(image))
        _read_as(again, _OTHER_ORDER[_byte_order(again)])
        # Pillow keeps the upper byte of each sample or, told the other byte order, the lower one. For compressed
        # planes it gives the upper byte either way: the result is eight bits, stretched over sixteen.
        both = np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)
        return both[..., :3], both[..., 3] if both.shape[-1] == 4 else None
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    kind: np.dtype[Any] = np.dtype(np.float32)
    if image.mode == "I":
        tags = _tags(image)
        bits = tags.get(_BITS, (32,))[0]
        kind = np.dtype(f"{'i' if tags.get(_FORMAT, (1,))[0] == _SIGNED else 'u'}{bits // 8}")
    # Pillow swaps the bytes of big-endian samples once too often if libtiff unpacks them.
    is_swapped = image.tile[0].codec_name == "libtiff" and raw.endswith(("BS", "BF")) and sys.byteorder == "little"
    values = np.asarray(image).astype(kind)
    return values.byteswap() if is_swapped else values, None


def _byte_order(image: ImageFile.ImageFile) -> str:
    """Byte order of the samples that the decoder gets: ``B`` (big-endian) or ``L`` (little-endian)."""
    if image.format == "PNG":
        return "B"
    if _raw_mode(image).endswith("N"):
        # Unpacked already, in the byte order of this machine.
        return "L" if sys.byteorder == "little" else "B"
    return "L" if _tags(image).prefix == b"II" else "B"


def _read_as(image: ImageFile.ImageFile, order: str) -> None:
    """Decodes an image of 16 bits per colour as if its bytes were in this order."""
    tiles = []
    for tile in image.tile:
        first, *rest = [tile.args] if isinstance(tile.args, str) else tile.args or [""]
        # Pillow drops the depth of planes that are not compressed.
        mode = f"{first.partition(';')[0]};16{order}"
        tiles.append(tile._replace(args=(mode, *rest) if rest else mode))
    image.tile = tiles
    image.load()


def _significant_bits(content: bytes, colours: int) -> int:
    """Largest number of significant bits in a PNG's `sBIT` chunk; 0 if there is no valid one."""
    at = _FIRST_CHUNK
    while at + 12 <= len(content) and content[at + 4 : at + 8] != _PIXELS:
        size = int.from_bytes(content[at : at + 4])
        if content[at + 4 : at + 8] == _SIGNIFICANT_BITS:
            bits = content[at + 8 : at + 8 + min(size, colours)]
            return max(bits) if bits and min(bits) >= 1 and max(bits) <= 16 else 0
        at += 12 + size
    return 0


def _read_stated_range(tags: Any) -> Range | None:
    """Reads the range that a TIFF's tags state; None if they state none or an invalid one."""
    black, white = 0.0, math.nan
    try:
        if _GREATEST in tags:
            black = float(min(_as_tuple(tags.get(_LEAST, 0))))
            white = float(max(_as_tuple(tags[_GREATEST])))
        elif tags.get(_BITS, (16,))[0] == 12:
            white = 2.0**12 - 1
        elif text := str(tags.get(_DESCRIPTION, "")):
            least, greatest = (pattern.search(text) for pattern in _IMAGEJ)
            ome = _OME.search(text)
            if least and greatest:
                black, white = float(least[1]), float(greatest[1])
            elif ome and 1 <= int(ome[1]) <= 32:
                white = 2.0 ** int(ome[1]) - 1
    except (TypeError, ValueError):
        return None
    return (black, white) if -math.inf < black < white < math.inf else None


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
