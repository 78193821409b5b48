"""Deep pictures: more than 8 bits a sample. Pillow narrows most of them without a word; here the samples are read."""

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
    """The samples of a deep picture.

    Attributes:
        form: See `sample_form`.
        samples: Gray (height, width) or RGB (height, width, 3), of the type that the file has.
        opacity: uint16 (height, width); None where there is no transparency.
        inverted: Whether the least value is white.
        stated: Black and white as the file states them; None where it does not.
    """

    form: str
    samples: NDArray[np.generic]
    opacity: NDArray[np.uint16] | None
    inverted: bool
    stated: Range | None

    def opaque(self) -> NDArray[np.generic]:
        """The samples that can be seen, in no order."""
        return self.samples if self.opacity is None else self.samples[self.opacity > 0]

    def image(self, black: float, white: float) -> Image.Image:
        """The picture in 8 bits, of mode L, LA, RGB or RGBA."""
        levels = to_8_bits(self.samples, black, white)
        if self.inverted:
            levels = 255 - levels
        image = Image.fromarray(levels)
        if self.opacity is not None:
            image.putalpha(Image.fromarray(to_8_bits(self.opacity, 0, 2**16 - 1)))
        return image


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether `read_deep` reads a picture that is open and not decoded yet: PNG or TIFF of more than 8 bits."""
    kind, raw = image.format, _raw_mode(image)
    if kind == "PNG":
        return ";16" in raw
    if kind != "TIFF":
        return False
    tags = _tags(image)
    colours = image.mode in ("RGB", "RGBA") and tags.get(_BITS, (8,))[0] == 16 and _COLOURS.fullmatch(raw)
    return bool(colours) or image.mode in ("F", "I") or image.mode.startswith("I;16")


def read_deep(image: ImageFile.ImageFile, again: ImageFile.ImageFile, content: bytes) -> DeepImage:
    """Decodes a deep picture, upright where the decoder turns it, as Pillow does with TIFF.

    Args:
        image: A picture for which `is_deep` holds; afterwards it is decoded, in 8 bits or in no meaningful way.
        again: The same, opened once more.
        content: The bytes of both.

    Raises:
        Exception: Whatever a decoder raises of a damaged file.
    """
    samples, opacity = _samples(image, again)
    if image.format == "PNG":
        transparent = image.info.get("transparency")
        if opacity is None and transparent is not None:
            same = samples == np.array(transparent, np.uint16)
            opacity = np.where(same if samples.ndim == 2 else same.all(axis=-1), 0, 2**16 - 1).astype(np.uint16)
        bits = _significant_bits(content, colours=1 if samples.ndim == 2 else 3)
        stated = range_of_significant_bits(samples, bits) if bits else None
        return DeepImage(sample_form("PNG", samples), samples, opacity, False, stated)
    tags = _tags(image)
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return DeepImage(sample_form("TIFF", samples), samples, opacity, inverted, _stated(tags))


def _tags(image: ImageFile.ImageFile) -> Any:
    """The tags of a TIFF; what is absent has Pillow's defaults."""
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the decoder is told that samples are stored."""
    arguments = (image.tile[0].args if image.tile else "") or ""
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _samples(
    image: ImageFile.ImageFile, again: ImageFile.ImageFile
) -> tuple[NDArray[Any], NDArray[np.uint16] | None]:
    raw = _raw_mode(image)
    if raw == "LA;16B":
        # Four bytes a pixel, as in RGBA of 8 bits.
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        pairs = np.asarray(image).view(">u2").astype(np.uint16)
        return pairs[..., 0], pairs[..., 1]
    if _COLOURS.fullmatch(raw):
        _read_as(image, _byte_order(image))
        _read_as(again, _OTHER_ORDER[_byte_order(again)])
        # Pillow keeps the upper byte of each sample; told of the other byte order, the lower one. Of planes that are
        # compressed it gives the upper byte either way: eight bits, stretched over sixteen, are all there is.
        both = np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)
        return both[..., :3], both[..., 3] if both.shape[-1] == 4 else None
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    kind: np.dtype[Any] = np.dtype(np.float32)
    if image.mode == "I":
        tags = _tags(image)
        bits = tags.get(_BITS, (32,))[0]
        kind = np.dtype(f"{'i' if tags.get(_FORMAT, (1,))[0] == _SIGNED else 'u'}{bits // 8}")
    # Of big-endian samples that libtiff unpacks, Pillow swaps the bytes once too often.
    swapped = image.tile[0].codec_name == "libtiff" and raw.endswith(("BS", "BF")) and sys.byteorder == "little"
    values = np.asarray(image).astype(kind)
    return values.byteswap() if swapped else values, None


def _byte_order(image: ImageFile.ImageFile) -> str:
    """The order in which the decoder gets the bytes of a sample: ``B`` (big end first) or ``L``."""
    if image.format == "PNG":
        return "B"
    if _raw_mode(image).endswith("N"):
        # Unpacked already, as this machine has them.
        return "L" if sys.byteorder == "little" else "B"
    return "L" if _tags(image).prefix == b"II" else "B"


def _read_as(image: ImageFile.ImageFile, order: str) -> None:
    """Decodes a picture of 16 bits a colour as if its bytes were in this order."""
    tiles = []
    for tile in image.tile:
        first, *rest = [tile.args] if isinstance(tile.args, str) else tile.args or [""]
        # Of planes that are not compressed, Pillow forgets the depth.
        mode = f"{first.partition(';')[0]};16{order}"
        tiles.append(tile._replace(args=(mode, *rest) if rest else mode))
    image.tile = tiles
    image.load()


def _significant_bits(content: bytes, colours: int) -> int:
    """The most significant bits of a colour that a PNG's `sBIT` chunk names; 0 where there is none."""
    at = _FIRST_CHUNK
    while at + 12 <= len(content) and content[at + 4 : at + 8] != _PIXELS:
        size = int.from_bytes(content[at : at + 4])
        if content[at + 4 : at + 8] == _SIGNIFICANT_BITS:
            bits = content[at + 8 : at + 8 + min(size, colours)]
            return max(bits) if bits and min(bits) >= 1 and max(bits) <= 16 else 0
        at += 12 + size
    return 0


def _stated(tags: Any) -> Range | None:
    """The range that a TIFF's tags state; None where they state none, or none that makes sense."""
    black, white = 0.0, math.nan
    try:
        if _GREATEST in tags:
            black = float(min(_several(tags.get(_LEAST, 0))))
            white = float(max(_several(tags[_GREATEST])))
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


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
