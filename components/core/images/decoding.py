"""One picture, decoded in full: upright, RGB, no larger than asked for. Training and prediction both see it so."""

import contextlib
import dataclasses
import functools
import importlib
import io
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError, features

from headstart.components.core.images.deep_samples import is_deep, read_deep
from headstart.components.core.images.sample_ranges import Histogram, Range, Ranges, estimate_range
from headstart.components.core.images.unsupported import GIT_LFS, START_BYTES, identify_unsupported_file

T = TypeVar("T")

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
"""What is read, by content; Pillow's other decoders stay closed to what comes from outside."""

HEIC = "HEIC"
"""Read as well, where the package `pillow-heif` is installed."""

MIN_SIDE = 8
"""Shortest side of a picture, in pixels; below it nothing can be seen."""

MAX_ASPECT = 20
"""Longest side over shortest; above it a picture is a strip that resizing to a square makes unreadable."""

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Pixels that are decoded of a picture, at most: Pillow's own limit, a quarter of a gigabyte as RGB."""

MAX_JPEG_PIXELS = 2**30
"""Pixels of a JPEG, at most. The decoder itself reduces it, to an eighth of each side if need be, so that only
`MAX_PIXELS` are in memory; what grows is time: a second and 100 MB for 400 million pixels, reduced to 512."""

MAX_COEFFICIENT_BYTES = 2**30
"""Memory for the coefficients of a JPEG in several scans, a progressive one above all: two bytes a sample, which the
decoder keeps until the last scan. Enough for 178,956,970 pixels of three colours, the double of `MAX_PIXELS`."""

MOST_PIXELS_A_BYTE = 8 * 64
"""Pixels that a byte of a JPEG can hold: Huffman coding spends at least a bit on each block of 8 x 8."""

FAINT = 30
"""Gray levels between the darkest 1 % of the pixels and the brightest 1 % below which nearly all is of one shade."""

_JPEGS = ("JPEG", "MPO")
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_QUALITY = 95
_MAX_OVERHEAD_BYTES = 2**16
_EXIF_ORIENTATION, _EXIF_MAKE, _EXIF_MODEL = 0x0112, 0x010F, 0x0110
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_MAX_BRAND_BYTES = 256
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Chunks of a PNG that no decoder lets change the pixels, or refuses a picture for.
_PLAIN_CHUNKS = (b"tEXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iTXt", b"zTXt", b"eXIf", b"iCCP")
_UNPACKED_AT_ONCE = 2**20
_MOST_HALVED = 8
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column and row, and steps, of Adam7's passes.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

# There is a limit of our own, and a message to go with it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclasses.dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture that decodes.

    Attributes:
        pixels: uint8 (height, width, 4): RGB and a fourth byte of 255, upright and reduced.
        encoded: Bytes that every decoder reads these pixels from: the original ones where they are that already, a
            JPEG of quality 95 where a lossy picture was reduced; empty: it is to be stored without loss.
        format: What the file was: one of `FORMATS`, or `HEIC`.
        width: Of the file, upright, in pixels.
        height: Likewise.
        camera: Maker and model by EXIF; empty where it does not say.
        form: Form of a deep picture that was read by its range, see
            `core.images.sample_ranges.sample_form`; empty for any other.
        range: The sample values that became black and white; None where `form` is empty.
    """

    pixels: NDArray[np.uint8]
    encoded: bytes
    format: str
    width: int
    height: int
    camera: str
    form: str = ""
    range: Range | None = None

    def is_faint(self) -> bool:
        """Whether a deep picture came out with hardly any contrast: its range is not that of what it shows."""
        if not self.form:
            return False
        darkest, brightest = np.percentile(self.pixels[..., :3], (1, 99))
        return bool(brightest - darkest < FAINT)


@dataclasses.dataclass(frozen=True, slots=True)
class RejectedImage:
    """Why a file is no picture one can use.

    Attributes:
        reason: A word or two to count by: ``empty``, ``not an image``, ``unsupported``, ``truncated``, ``damaged``,
            ``too large``, ``too small``, ``strip``.
        detail: What the decoder said.
    """

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class UndecidedRange:
    """A deep picture whose range its data set has to decide.

    Attributes:
        form: See `core.images.sample_ranges.sample_form`.
        histogram: Of the samples that can be seen.
    """

    form: str
    histogram: Histogram


def decode_image(content: bytes, max_side: int, ranges: Ranges | None = None) -> DecodedImage | RejectedImage:
    """Decodes a file's bytes; what it holds decides the format, not its name.

    A picture whose bytes every decoder reads alike, and that is small enough, keeps its bytes. Any other is turned
    upright, made RGB of 8 bits (white where it was transparent) and reduced with a Lanczos filter; a reduced picture
    from a lossy format passes through JPEG of quality 95, as it does on its way to training.

    Args:
        content: The file's bytes.
        max_side: Longest side that is kept, in pixels; 0: any.
        ranges: Black and white of deep pictures by their forms, see `core.images.sample_ranges`; None: integers
            of 16 bits keep their upper eight, others their lower, and floats run to 1 or to 255, as before there
            were ranges.
    """
    return _read(content, lambda image: _decoded(image, content, max_side, ranges))


def find_undecided_range(content: bytes) -> UndecidedRange | None:
    """What a deep picture adds to the range of its form; None where a file is none, is damaged, or states a range.

    Args:
        content: The file's bytes.
    """
    if not content.startswith((b"\x89PNG", b"II", b"MM")):
        return None

    def samples(image: ImageFile.ImageFile) -> UndecidedRange | None:
        if not is_deep(image):
            return None
        deep = read_deep(image, _open(content), content)
        return None if deep.stated else UndecidedRange(deep.form, Histogram.of(deep.opaque()))

    found = _read(content, samples)
    return found if isinstance(found, UndecidedRange) else None


def _read(content: bytes, read: Callable[[ImageFile.ImageFile], T]) -> T | RejectedImage:
    """Opens a picture and has it read; whatever a decoder raises is a reason to reject it."""
    if not content:
        return RejectedImage("empty", "the file has no bytes")
    try:
        with _open(content) as image:
            return _wrong_size(image, content) or read(image)
    except UnidentifiedImageError:
        return _unidentified(content)
    except (Image.DecompressionBombError, MemoryError) as error:
        return RejectedImage("too large", str(error) or type(error).__name__)
    except Exception as error:
        # Decoders raise whatever a damaged file leads them to: OSError, SyntaxError, ValueError, struct.error.
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        return RejectedImage(reason, " ".join(f"{type(error).__name__}: {error}".split()))


def _open(content: bytes) -> ImageFile.ImageFile:
    formats = ("HEIF",) if _iso_format(content) == HEIC and _heif() else FORMATS
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError:
        if not content.startswith(_JPEG_SIGNATURE):
            raise
        # Of a JPEG more is read than of others: see `MAX_JPEG_PIXELS`.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(content))


def _iso_format(content: bytes) -> str:
    """Of a file in the ISO base media format, whether it is AVIF or HEIC, by its brands; empty for any other."""
    if content[4:8] != b"ftyp":
        return ""
    named = content[8 : min(int.from_bytes(content[:4]), _MAX_BRAND_BYTES)]
    brands = {named[at : at + 4] for at in range(0, len(named), 4)}
    return "AVIF" if brands & _AVIF_BRANDS else HEIC if brands & _HEIC_BRANDS else ""


@functools.cache
def _heif() -> bool:
    """Makes Pillow read HEIC, where the package for it is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _wrong_size(image: Image.Image, content: bytes) -> RejectedImage | None:
    size = f"{image.width} x {image.height} pixels"
    pixels = image.width * image.height
    most = MAX_PIXELS
    if image.format in _JPEGS and pixels > MAX_PIXELS:
        frame = _frame(content)
        most = MAX_COEFFICIENT_BYTES // (2 * frame.components) if frame.scans else MAX_JPEG_PIXELS
        if pixels <= most and not frame.arithmetic and len(content) < pixels // MOST_PIXELS_A_BYTE:
            return RejectedImage("truncated", f"{size}, of which {len(content):,} bytes can hold a part at most")
    if pixels > most:
        return RejectedImage("too large", f"{size}; the most is {most:,} in all")
    if min(image.size) < MIN_SIDE:
        return RejectedImage("too small", f"{size}; the least is {MIN_SIDE} a side")
    if max(image.size) > MAX_ASPECT * min(image.size):
        return RejectedImage("strip", f"{size}; one side is more than {MAX_ASPECT} times the other")
    return None


def _unidentified(content: bytes) -> RejectedImage:
    kind = _iso_format(content)
    if kind == HEIC and not _heif():
        return RejectedImage("unsupported", "HEIC; pip install 'headstart[heic]' to read it, or convert it to JPEG")
    if kind == "AVIF" and not features.check("avif"):
        return RejectedImage("unsupported", "AVIF, which this build of Pillow does not read; convert it to JPEG")
    if kind:
        return RejectedImage("damaged", f"{kind} by its first bytes, and the decoder makes nothing of the rest")
    if found := identify_unsupported_file(content[:START_BYTES]):
        kind, way_out = found
        return RejectedImage(GIT_LFS if kind == GIT_LFS else "unsupported", f"{kind}: {way_out}")
    return RejectedImage("not an image", f"its first bytes are no known picture's; read are {', '.join(FORMATS)}")


def _decoded(
    image: ImageFile.ImageFile, content: bytes, max_side: int, ranges: Ranges | None
) -> DecodedImage | RejectedImage:
    kind = "JPEG" if image.format in _JPEGS else HEIC if image.format == "HEIF" else str(image.format)
    if kind == "PNG":
        damage = _png_damage(content)
        if damage:
            return damage
        _scale_transparent_gray(image, content)
    width, height = image.size
    max_side = max_side or max(width, height)
    small = max(width, height) <= max_side and width * height <= MAX_PIXELS
    keeps_bytes = small and _decodes_alike(image, kind, content)
    shown: Image.Image = image
    form, range_of_form = "", None
    if kind != "JPEG":
        # Before the metadata are looked at: an error in the pixels must not be taken for one of theirs.
        if ranges is not None and is_deep(image):
            deep = read_deep(image, _open(content), content)
            form, range_of_form = deep.form, deep.stated or ranges.get(deep.form) or estimate_range(deep.samples)
            shown = deep.image(*range_of_form)
        image.load()
    orientation, camera = _exif(image)
    if orientation == 1 and keeps_bytes:
        return DecodedImage(_pixels(image, content), content, kind, width, height, camera)
    if kind == "JPEG":
        _draft(cast(JpegImagePlugin.JpegImageFile, image), max_side)
        image.load()
    try:
        rgb = _to_rgb(shown, kind)
    except ValueError as error:
        return RejectedImage("unsupported", f"{kind} of mode {image.mode}: {error}")
    if orientation != 1:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if kind == "JPEG":
        width, height = (width, height) if orientation < 5 else (height, width)
    else:
        # Before a TIFF is decoded, its size is turned already or not yet, by Pillow's version.
        width, height = rgb.size
    reduced = _reduced(rgb, width, height, max_side)
    lossy = max(width, height) > max_side and (kind in ("JPEG", "AVIF", HEIC) or content[12:16] == b"VP8 ")
    encoded = _jpeg(reduced) if lossy else b""
    pixels = _pixels(Image.open(io.BytesIO(encoded)) if lossy else reduced, encoded)
    return DecodedImage(pixels, encoded, kind, width, height, camera, form, range_of_form)


def _draft(image: JpegImagePlugin.JpegImageFile, max_side: int) -> None:
    """Has the decoder itself halve a JPEG: to no less than twice what is wanted, and to no more than may be decoded.

    That takes a fraction of the time.
    """
    factor, wanted, pixels = 1, 2 * max_side, image.width * image.height
    while factor < _MOST_HALVED and (min(image.size) >= 2 * factor * wanted or (pixels > MAX_PIXELS * factor**2)):
        factor *= 2
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))


def _decodes_alike(image: Image.Image, kind: str, content: bytes) -> bool:
    """Whether Pillow and TensorFlow read the same RGB pixels from a file, before it is decoded.

    Not so where a decoder may choose: which frame of several, how to narrow 16 bits to 8, what lies behind what is
    transparent, whether arithmetic coding is known, whether a JPEG needs its end marker, what an unusual chunk of a
    PNG is for. A file that carries more than its pixels could need is not kept either.
    """
    if image.mode != "RGB" or len(content) > 3 * image.width * image.height + _MAX_OVERHEAD_BYTES:
        return False
    if kind == "PNG":
        return content[24] == 8 and _png_is_plain(content)
    if kind != "JPEG":
        return False
    ends = content.endswith(b"\xff\xd9") or content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
    return ends and not _frame(content).arithmetic


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


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Kind and content of a PNG's chunks to the last that is whole, and whether the checksum is right."""
    view, at = memoryview(content), 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if end > len(content):
            return
        yield (
            content[at + 4 : at + 8],
            view[at + 8 : end - 4],
            zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(content[end - 4 : end]),
        )
        at = end


def _png_damage(content: bytes) -> RejectedImage | None:
    """What is wrong with a PNG that its decoders may pass over, each another thing.

    Pillow takes wrong checksums of chunks, and stops to look once it has all rows: not at the checksum of what it
    unpacked, which alone tells that a stream was changed where it can still be unpacked.
    """
    stream = zlib.decompressobj()
    kind, unpacked, rows = b"", 0, 0
    for number, (kind, data, right) in enumerate(_chunks(content)):
        if not right:
            return RejectedImage("damaged", "a chunk of the PNG has a wrong checksum")
        if number == 0:
            rows = _png_bytes(bytes(data)) if kind == b"IHDR" else 0
        if kind == b"IEND":
            break
        try:
            while kind == b"IDAT" and data and not stream.eof and unpacked <= rows:
                unpacked += len(stream.decompress(data, _UNPACKED_AT_ONCE))
                data = memoryview(stream.unconsumed_tail)
        except zlib.error as error:
            return RejectedImage("damaged", f"the pixels of the PNG cannot be unpacked: {error}")
    while unpacked <= rows and not stream.eof and (more := stream.decompress(b"", _UNPACKED_AT_ONCE)):
        unpacked += len(more)
    if kind != b"IEND":
        return RejectedImage("truncated", "a chunk of the PNG is cut off, or its last one missing")
    if not rows or unpacked > rows:
        return RejectedImage(
            "damaged", "the PNG has more rows than its size needs" if rows else "the PNG's header is wrong"
        )
    if unpacked < rows:
        found = f"the PNG has {unpacked:,} bytes of rows; its size needs {rows:,}"
        return RejectedImage("truncated" if unpacked else "damaged", found)
    if not stream.eof:
        # What is left of the stream is its checksum.
        return RejectedImage("truncated", "the pixels of the PNG end before their checksum")
    return None


def _png_bytes(header: bytes) -> int:
    """Bytes of a PNG's rows, unpacked: a byte for the filter of each, and its pixels; 0 if the header is wrong."""
    if len(header) != 13 or header[9] not in _PNG_CHANNELS or header[10:12] != b"\0\0" or header[12] > 1:
        return 0
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * _PNG_CHANNELS[header[9]]
    passes = _PASSES if header[12] else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // wide), -(-(height - y) // high)) for x, y, wide, high in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _png_is_plain(content: bytes) -> bool:
    """Whether a PNG has but a header, its pixels in a row of chunks, and what every decoder passes over."""
    kinds = [kind for kind, _, _ in _chunks(content)]
    kinds = kinds[: kinds.index(b"IEND") + 1] if b"IEND" in kinds else kinds
    others = [kind for kind in kinds if kind != b"IDAT"]
    if others[:1] != [b"IHDR"] or others[-1] != b"IEND" or b"IDAT" not in kinds:
        return False
    first, number = kinds.index(b"IDAT"), kinds.count(b"IDAT")
    together = kinds[first : first + number] == [b"IDAT"] * number
    plain = all(kind in _PLAIN_CHUNKS for kind in others[1:-1])
    return together and plain and len(set(others)) == len(others)


def _scale_transparent_gray(image: Image.Image, content: bytes) -> None:
    """Has Pillow compare the transparent gray of a PNG with what it makes of 1, 2 or 4 bits: values of 8."""
    depth, colour_type = content[24], content[25]
    transparent = image.info.get("transparency")
    if colour_type == 0 and depth < 8 and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // (2**depth - 1)


@dataclasses.dataclass(frozen=True, slots=True)
class _Frame:
    """How a JPEG is coded.

    Attributes:
        arithmetic: Whether by arithmetic coding.
        components: Colours a pixel; 4 where that is not known.
        scans: Whether the pixels come in several scans.
    """

    arithmetic: bool = False
    components: int = 4
    scans: bool = True


def _frame(content: bytes) -> _Frame:
    """Reads a JPEG's start-of-frame marker (SOF0 to SOF15), and what its first scan has of it."""
    frame, at = _Frame(), 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            return dataclasses.replace(frame, scans=frame.scans or content[at + 4] < frame.components)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = _Frame(marker >= 0xC9, max(1, content[at + 9]), marker not in (0xC0, 0xC1, 0xC9))
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return dataclasses.replace(frame, scans=True)


def _exif(image: Image.Image) -> tuple[int, str]:
    """Orientation (1 to 8) and camera. Damaged metadata is no metadata: it does not touch the pixels."""
    try:
        exif = image.getexif()
        orientation = exif.get(_EXIF_ORIENTATION, 1)
        camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (_EXIF_MAKE, _EXIF_MODEL)).strip()
    except Exception:
        return 1, ""
    return (orientation if orientation in range(1, 9) else 1), camera


def _to_rgb(image: Image.Image, kind: str) -> Image.Image:
    """Any mode to RGB; what is transparent becomes white, 16 bits keep their upper eight."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        lightest = values.max(where=np.isfinite(values), initial=0)
        gray = values * 255 if lightest <= 1 else values
        return Image.fromarray(np.nan_to_num(gray).clip(0, 255).astype(np.uint8)).convert("RGB")
    if kind == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        # The format does not say what the fourth byte is; where it is opacity, something is to be seen.
        return Image.merge("RGB", image.split()[:3])
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reduced(image: Image.Image, width: int, height: int, max_side: int) -> Image.Image:
    """The picture at its own size, or with its longest side at `max_side`.

    Args:
        image: Upright; already reduced by a power of two if the decoder could.
        width: Of the original, in pixels.
        height: Likewise.
        max_side: In pixels.
    """
    # A JPEG above the limit of pixels may have been reduced below what is wanted.
    longest, max_side = max(width, height), min(max_side, max(image.size))
    if longest <= max_side or max(image.size) == max_side:
        return image
    wide, high = (max(1, round(side * max_side / longest)) for side in (width, height))
    return image.resize((wide, high), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def view_as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image of mode RGBX over pixels, uint8 (height, width, 4), where they lie in memory."""
    height, width, _ = pixels.shape
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def resize_pixels(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """A picture as the classifier's own resizing hands it on.

    Pillow's filter for floating-point pixels is TensorFlow's antialiased one, and takes half its time.

    Args:
        pixels: uint8 (height, width, 4), RGB and a fourth byte.
        size: Side of the result in pixels.

    Returns:
        (size, size, 3), RGB 0-255.
    """
    shape = (size, size)
    bands = (band.convert("F").resize(shape, Image.Resampling.BILINEAR) for band in view_as_image(pixels).split()[:3])
    return np.stack([np.asarray(band) for band in bands], axis=-1)
