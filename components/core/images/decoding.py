"""Decoding an image in full: upright, RGB, reduced if too large. Training and prediction decode alike."""

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
"""Formats that are read, by content. Pillow's other decoders are never given files from outside."""

HEIC = "HEIC"
"""Format that is also read if the package `pillow-heif` is installed."""

MIN_SIDE = 8
"""Least length of an image's shorter side, in pixels; smaller images show nothing."""

MAX_ASPECT = 20
"""Largest ratio of longer to shorter side; beyond it resizing to a square makes an image unrecognisable."""

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Most pixels that are decoded of an image: Pillow's own limit, a quarter of a gigabyte as RGB."""

MAX_JPEG_PIXELS = 2**30
"""Most pixels of a JPEG. The decoder itself reduces it, to an eighth of each side if need be, so that at most
`MAX_PIXELS` are in memory. 400 million pixels, reduced to a side of 512, take a second and 100 MB."""

MAX_COEFFICIENT_BYTES = 2**30
"""Most memory for the coefficients of a JPEG with several scans, such as a progressive one. The decoder keeps two
bytes per sample until the last scan. Enough for 178,956,970 pixels of three colours, twice `MAX_PIXELS`."""

MOST_PIXELS_A_BYTE = 8 * 64
"""Most pixels that a byte of a JPEG can encode: Huffman coding spends at least a bit on each block of 8 x 8."""

FAINT = 30
"""Least contrast: gray levels between the 1st and the 99th percentile of the pixels. Below it an image is faint."""

_JPEGS = ("JPEG", "MPO")
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_SIGNATURES = (
    *(_JPEG_SIGNATURE, b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
)
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
# Chunks of a PNG that change no pixels and that every decoder accepts.
_PLAIN_CHUNKS = (b"tEXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iTXt", b"zTXt", b"eXIf", b"iCCP")
_UNPACKED_AT_ONCE = 2**20
_MOST_HALVED = 8
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column and row, and steps, of Adam7's passes.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

# This module has its own limit and message.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclasses.dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        pixels: uint8 (height, width, 4): RGB and a fourth byte of 255, upright and reduced.
        encoded: Bytes from which every decoder reads these pixels: the file's own if they qualify, or a JPEG of
            quality 95 if an image of a lossy format was reduced; empty: to be stored without loss.
        format: Format of the file: one of `FORMATS`, or `HEIC`.
        width: Width of the image in the file, upright, in pixels.
        height: Height of the image in the file, upright, in pixels.
        camera: Maker and model from EXIF; empty if unknown.
        form: Form of a deep image that was read by its range, see `core.images.sample_ranges.sample_form`; empty for
            any other image.
        range: Sample values that became black and white; None if `form` is empty.
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
        """Whether a deep image has hardly any contrast, because its range does not fit what it shows."""
        if not self.form:
            return False
        darkest, brightest = np.percentile(self.pixels[..., :3], (1, 99))
        return bool(brightest - darkest < FAINT)


@dataclasses.dataclass(frozen=True, slots=True)
class RejectedImage:
    """The reason why a file cannot be used as an image.

    Attributes:
        reason: Category: ``empty``, ``not an image``, ``unsupported``, ``truncated``, ``damaged``, ``too large``,
            ``too small`` or ``strip``.
        detail: Description, such as the decoder's message.
    """

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class UndecidedRange:
    """A deep image whose range is decided for the whole dataset.

    Attributes:
        form: Form of its samples, see `core.images.sample_ranges.sample_form`.
        histogram: Histogram of its visible samples.
    """

    form: str
    histogram: Histogram


def decode_image(content: bytes, max_side: int, ranges: Ranges | None = None) -> DecodedImage | RejectedImage:
    """Decodes the bytes of a file; the format is recognised by content, not by name.

    A small image that every decoder reads alike keeps its bytes. Any other is turned upright, converted to RGB of 8
    bits (transparent parts on white) and reduced with a Lanczos filter. A reduced image of a lossy format passes
    through JPEG of quality 95, as it does for training.

    Args:
        content: Bytes of the file.
        max_side: Longest side that is kept, in pixels; 0: any.
        ranges: Ranges of deep images by form, see `core.images.sample_ranges`. None, for datasets made before there
            were ranges: 16-bit integers keep their upper eight bits, others their lower; floats run to 1 or to 255.
    """
    return _read(content, lambda image: _decode(image, content, max_side, ranges))


def find_undecided_range(content: bytes) -> UndecidedRange | None:
    """Measures the samples of a deep image, from which its dataset decides the range of this form.

    Args:
        content: Bytes of the file.

    Returns:
        Form and histogram; None if the file is not a deep image, is damaged or states its own range.
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
    """Opens an image and calls `read`; if a decoder raises an error, the image is rejected."""
    if not content:
        return RejectedImage("empty", "the file has no bytes")
    try:
        with _open(content) as image:
            return _check_size(image, content) or read(image)
    except UnidentifiedImageError:
        return _identify(content)
    except (Image.DecompressionBombError, MemoryError) as error:
        return RejectedImage("too large", str(error) or type(error).__name__)
    except Exception as error:
        # Damaged files make decoders raise anything: OSError, SyntaxError, ValueError, struct.error.
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        return RejectedImage(reason, " ".join(f"{type(error).__name__}: {error}".split()))


def _open(content: bytes) -> ImageFile.ImageFile:
    formats = ("HEIF",) if _iso_format(content) == HEIC and _register_heif() else FORMATS
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError:
        if not content.startswith(_JPEG_SIGNATURE):
            raise
        # JPEGs may be larger than other images: see `MAX_JPEG_PIXELS`.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(content))


def has_image_signature(start: bytes) -> bool:
    """Whether a file's first bytes are those of an image format, whether or not the rest can be decoded.

    Args:
        start: The first `START_BYTES` of the file, or all of a shorter one.
    """
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return start.startswith(_SIGNATURES) or webp or bool(_iso_format(start))


def _iso_format(content: bytes) -> str:
    """Format of a file in the ISO base media format by its brands: AVIF or HEIC; empty for any other."""
    if content[4:8] != b"ftyp":
        return ""
    names = content[8 : min(int.from_bytes(content[:4]), _MAX_BRAND_BYTES)]
    brands = {names[at : at + 4] for at in range(0, len(names), 4)}
    return "AVIF" if brands & _AVIF_BRANDS else HEIC if brands & _HEIC_BRANDS else ""


@functools.cache
def _register_heif() -> bool:
    """Makes Pillow read HEIC; False if the package for it is not installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _check_size(image: Image.Image, content: bytes) -> RejectedImage | None:
    size = f"{image.width} x {image.height} pixels"
    pixels = image.width * image.height
    most = MAX_PIXELS
    if image.format in _JPEGS and pixels > MAX_PIXELS:
        frame = _read_frame(content)
        most = MAX_COEFFICIENT_BYTES // (2 * frame.components) if frame.scans else MAX_JPEG_PIXELS
        if pixels <= most and not frame.arithmetic and len(content) < pixels // MOST_PIXELS_A_BYTE:
            return RejectedImage("truncated", f"{size}, more than {len(content):,} bytes can hold")
    if pixels > most:
        return RejectedImage("too large", f"{size}; at most {most:,} in all are read")
    if min(image.size) < MIN_SIDE:
        return RejectedImage("too small", f"{size}; each side needs at least {MIN_SIDE}")
    if max(image.size) > MAX_ASPECT * min(image.size):
        return RejectedImage("strip", f"{size}; one side is more than {MAX_ASPECT} times the other")
    return None


def _identify(content: bytes) -> RejectedImage:
    """Says what a file is that no decoder recognises."""
    kind = _iso_format(content)
    if kind == HEIC and not _register_heif():
        return RejectedImage("unsupported", "HEIC; pip install 'headstart[heic]' to read it, or convert it to JPEG")
    if kind == "AVIF" and not features.check("avif"):
        return RejectedImage("unsupported", "AVIF, which this build of Pillow does not read; convert it to JPEG")
    if kind:
        return RejectedImage("damaged", f"{kind} by its first bytes, but the rest cannot be decoded")
    if found := identify_unsupported_file(content[:START_BYTES]):
        kind, way_out = found
        return RejectedImage(GIT_LFS if kind == GIT_LFS else "unsupported", f"{kind}: {way_out}")
    return RejectedImage(
        "not an image", f"its first bytes are not those of an image; supported: {', '.join(FORMATS)}"
    )


def _decode(
    image: ImageFile.ImageFile, content: bytes, max_side: int, ranges: Ranges | None
) -> DecodedImage | RejectedImage:
    kind = "JPEG" if image.format in _JPEGS else HEIC if image.format == "HEIF" else str(image.format)
    if kind == "PNG":
        damage = _find_png_damage(content)
        if damage:
            return damage
        _scale_transparent_gray(image, content)
    width, height = image.size
    max_side = max_side or max(width, height)
    small = max(width, height) <= max_side and width * height <= MAX_PIXELS
    keeps_bytes = small and _is_read_alike(image, kind, content)
    shown: Image.Image = image
    form, range_of_form = "", None
    if kind != "JPEG":
        # Before the metadata are read, so that an error in the pixels is not taken for one in the metadata.
        if ranges is not None and is_deep(image):
            deep = read_deep(image, _open(content), content)
            form, range_of_form = deep.form, deep.stated or ranges.get(deep.form) or estimate_range(deep.samples)
            shown = deep.image(*range_of_form)
        image.load()
    orientation, camera = _read_exif(image)
    if orientation == 1 and keeps_bytes:
        return DecodedImage(_decode_pixels(image, content), content, kind, width, height, camera)
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
        # Before a TIFF is decoded, its size may be that of the upright image or not, depending on Pillow's version.
        width, height = rgb.size
    reduced = _reduce(rgb, width, height, max_side)
    lossy = max(width, height) > max_side and (kind in ("JPEG", "AVIF", HEIC) or content[12:16] == b"VP8 ")
    encoded = _encode_jpeg(reduced) if lossy else b""
    pixels = _decode_pixels(Image.open(io.BytesIO(encoded)) if lossy else reduced, encoded)
    return DecodedImage(pixels, encoded, kind, width, height, camera, form, range_of_form)


def _draft(image: JpegImagePlugin.JpegImageFile, max_side: int) -> None:
    """Makes the decoder itself halve a JPEG, which takes a fraction of the time.

    The result has at least twice the side that is wanted and at most `MAX_PIXELS` pixels.
    """
    factor, wanted, pixels = 1, 2 * max_side, image.width * image.height
    while factor < _MOST_HALVED and (min(image.size) >= 2 * factor * wanted or (pixels > MAX_PIXELS * factor**2)):
        factor *= 2
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))


def _is_read_alike(image: Image.Image, kind: str, content: bytes) -> bool:
    """Whether Pillow and TensorFlow read the same RGB pixels from a file; decided before it is decoded.

    Decoders differ in which frame of several they read, how they narrow 16 bits to 8, what background transparent
    parts get, whether they know arithmetic coding, whether a JPEG needs its end marker, and what they make of unusual
    PNG chunks. A file far larger than its pixels need does not qualify either.
    """
    if image.mode != "RGB" or len(content) > 3 * image.width * image.height + _MAX_OVERHEAD_BYTES:
        return False
    if kind == "PNG":
        return content[24] == 8 and _png_is_plain(content)
    if kind != "JPEG":
        return False
    ends = content.endswith(b"\xff\xd9") or content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
    return ends and not _read_frame(content).arithmetic


def _decode_pixels(image: Image.Image, content: bytes) -> NDArray[np.uint8]:
    """Decodes an RGB image into four bytes per pixel.

    JPEGs are decoded by libjpeg-turbo directly, which Pillow uses, too: the same pixels, faster and without a copy.
    If it reports any problem, Pillow decodes, as it does for every other format.

    Args:
        image: Opened RGB image.
        content: Bytes that it was opened from.
    """
    if image.format in _JPEGS:
        with contextlib.suppress(ValueError):
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGBA", strict=True)
            if pixels.shape[:2] == (image.height, image.width):
                return pixels
    return np.asarray(image.convert("RGBA"))


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Yields kind and content of a PNG's whole chunks, and whether the checksum is right."""
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


def _find_png_damage(content: bytes) -> RejectedImage | None:
    """Finds damage in a PNG that its decoders may ignore, each of them another kind.

    Pillow accepts wrong checksums of chunks, and stops reading once it has all rows. So it does not see the checksum
    of the unpacked rows, the only sign of a change that leaves the stream readable.
    """
    stream = zlib.decompressobj()
    kind, unpacked, rows = b"", 0, 0
    for number, (kind, data, is_right) in enumerate(_chunks(content)):
        if not is_right:
            return RejectedImage("damaged", "a chunk of the PNG has a wrong checksum")
        if number == 0:
            rows = _png_bytes(bytes(data)) if kind == b"IHDR" else 0
        if kind == b"IEND":
            break
        try:
            if kind == b"IDAT":
                unpacked += _unpack(stream, data, rows - unpacked)
        except zlib.error as error:
            return RejectedImage("damaged", f"the pixels of the PNG cannot be unpacked: {error}")
    while unpacked <= rows and not stream.eof and (more := stream.decompress(b"", _UNPACKED_AT_ONCE)):
        unpacked += len(more)
    if kind != b"IEND":
        return RejectedImage("truncated", "the PNG is cut off, or its last chunk is missing")
    return _check_png_rows(rows, unpacked, stream.eof)


def _unpack(stream: "zlib._Decompress", data: memoryview, most: int) -> int:
    """Unpacks data up to the first piece that exceeds `most` bytes; returns the number of bytes."""
    unpacked = 0
    while data and not stream.eof and unpacked <= most:
        unpacked += len(stream.decompress(data, _UNPACKED_AT_ONCE))
        data = memoryview(stream.unconsumed_tail)
    return unpacked


def _check_png_rows(rows: int, unpacked: int, at_end: bool) -> RejectedImage | None:
    """Compares the unpacked rows of a PNG with its header.

    Args:
        rows: Bytes of rows by the header; 0 if the header is wrong.
        unpacked: Bytes that were unpacked.
        at_end: True if the stream ended with its checksum.
    """
    if not rows:
        return RejectedImage("damaged", "the PNG's header is wrong")
    if unpacked > rows:
        return RejectedImage("damaged", "the PNG has more rows than its size needs")
    if unpacked < rows:
        found = f"the PNG has {unpacked:,} bytes of rows; its size needs {rows:,}"
        return RejectedImage("truncated" if unpacked else "damaged", found)
    return None if at_end else RejectedImage("truncated", "the pixels of the PNG end before their checksum")


def _png_bytes(header: bytes) -> int:
    """Unpacked size of a PNG's rows in bytes: filter byte and pixels of each; 0 if the header is wrong."""
    if len(header) != 13 or header[9] not in _PNG_CHANNELS or header[10:12] != b"\0\0" or header[12] > 1:
        return 0
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * _PNG_CHANNELS[header[9]]
    passes = _PASSES if header[12] else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // wide), -(-(height - y) // high)) for x, y, wide, high in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _png_is_plain(content: bytes) -> bool:
    """Whether a PNG has nothing but a header, consecutive chunks of pixels, and chunks that decoders ignore."""
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
    """Scales the transparent gray of a PNG of 1, 2 or 4 bits to 8 bits, with which Pillow compares it."""
    depth, colour_type = content[24], content[25]
    transparent = image.info.get("transparency")
    if colour_type == 0 and depth < 8 and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // (2**depth - 1)


@dataclasses.dataclass(frozen=True, slots=True)
class _Frame:
    """The coding of a JPEG.

    Attributes:
        arithmetic: True for arithmetic coding.
        components: Number of colour components; 4 if unknown.
        scans: True if the pixels come in several scans.
    """

    arithmetic: bool = False
    components: int = 4
    scans: bool = True


def _read_frame(content: bytes) -> _Frame:
    """Reads a JPEG's start-of-frame marker (SOF0 to SOF15) and the number of components in its first scan."""
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


def _read_exif(image: Image.Image) -> tuple[int, str]:
    """Reads orientation (1 to 8) and camera; damaged metadata count as none, since the pixels are unaffected."""
    try:
        exif = image.getexif()
        orientation = exif.get(_EXIF_ORIENTATION, 1)
        camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (_EXIF_MAKE, _EXIF_MODEL)).strip()
    except Exception:
        return 1, ""
    return (orientation if orientation in range(1, 9) else 1), camera


def _to_rgb(image: Image.Image, kind: str) -> Image.Image:
    """Converts any mode to RGB: transparent parts become white, 16-bit samples keep their upper eight bits."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        lightest = values.max(where=np.isfinite(values), initial=0)
        gray = values * 255 if lightest <= 1 else values
        return Image.fromarray(np.nan_to_num(gray).clip(0, 255).astype(np.uint8)).convert("RGB")
    if kind == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        # The format does not define the fourth byte; all zeros cannot be opacity.
        return Image.merge("RGB", image.split()[:3])
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reduce(image: Image.Image, width: int, height: int, max_side: int) -> Image.Image:
    """Reduces an image to a longest side of `max_side`, unless it is smaller.

    Args:
        image: Upright image, perhaps already halved by the decoder.
        width: Width of the original in pixels.
        height: Height of the original in pixels.
        max_side: Longest side of the result in pixels.
    """
    # The decoder may have reduced a huge JPEG below what is wanted.
    longest, max_side = max(width, height), min(max_side, max(image.size))
    if longest <= max_side or max(image.size) == max_side:
        return image
    wide, high = (max(1, round(side * max_side / longest)) for side in (width, height))
    return image.resize((wide, high), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _encode_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def view_as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Returns an image of mode RGBX that shares the memory of pixels, uint8 (height, width, 4)."""
    height, width, _ = pixels.shape
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def resize_pixels(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Resizes an image as the classifier's own resizing does.

    Pillow's filter for floating-point pixels equals TensorFlow's antialiased one and takes half its time.

    Args:
        pixels: uint8 (height, width, 4), RGB and a fourth byte.
        size: Side of the result in pixels.

    Returns:
        float32 (size, size, 3), RGB 0-255.
    """
    shape = (size, size)
    bands = (band.convert("F").resize(shape, Image.Resampling.BILINEAR) for band in view_as_image(pixels).split()[:3])
    return np.stack([np.asarray(band) for band in bands], axis=-1)
