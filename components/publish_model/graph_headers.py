"""Reading the headers of image files inside a TensorFlow graph, before a decoder reads the file.

TensorFlow's decoders allocate the memory that a file asks for, and one (2.21, animated WebP) writes beyond it. So
they only get files with a known signature, a header that is valid here, and a size within the limits of
`core.images.decoding`.

Numbers are int64, so that no product of two sides overflows. Bytes beyond the end of a file read as zeros.
"""

from typing import NamedTuple

import tensorflow as tf

from headstart.components.core.images.decoding import (
    MAX_ASPECT,
    MAX_COEFFICIENT_BYTES,
    MAX_JPEG_PIXELS,
    MAX_PIXELS,
    MIN_SIDE,
    MOST_PIXELS_A_BYTE,
)

UNREADABLE, JPEG, PNG, GIF, BMP, WEBP = range(6)
"""Kinds of image files."""

NO_COLOUR = -1
"""Index for a palette without a transparent colour."""

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_GIFS = (b"GIF87a", b"GIF89a")
_BMP = b"BM"
_RIFF, _WEBP = b"RIFF", b"WEBP"
_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG_XMP = b"XML:com.adobe.xmp\x00"
_LITTLE_ENDIAN, _BIG_ENDIAN = b"II*\x00", b"MM\x00*"
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4
_ENTRY = 12
_DETAILS = 6

_MOST_STEPS = 2**16
"""Most segments, chunks or blocks that are read of a file, so that none can block a server."""

_APP1, _APP14, _START_OF_SCAN, _FILL = 0xE1, 0xEE, 0xDA, 0xFF
_FRAMES = range(0xC0, 0xD0)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_PROGRESSIVE = 0xC2
_DECODED_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)
_WITHOUT_LENGTH = (0x00, 0x01, *range(0xD0, 0xD9))

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Valid bits per sample for each colour type of PNG."""

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_OS2 = 12
_BMP_BITS = (1, 4, 8, 16, 24, 32)
_RAW, _BITFIELDS = 0, 3

_ANIMATED, _ALPHA = 0x02, 0x10
_FRAME_HEADER = 16


class Header(NamedTuple):
    """Header of an image file, known before it is decoded; all int64.

    Attributes:
        kind: Kind of file, or `UNREADABLE`.
        width: Width of the stored image in pixels.
        height: Height of the stored image in pixels.
        orientation: Orientation from EXIF or XMP, 1 to 8.
        details: (6,), further values for the decoder of this kind, see the functions that read them.
    """

    kind: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    orientation: tf.Tensor
    details: tf.Tensor


def read_header(encoded: tf.Tensor) -> Header:
    """Reads the header of a file; an unknown, damaged or too large file is `UNREADABLE`.

    Args:
        encoded: Bytes of the file, a string scalar.
    """

    def starts_with(magic: bytes, at: int = 0) -> tf.Tensor:
        return substring(encoded, at, len(magic)) == magic

    found: Header = tf.case(
        [
            (starts_with(_JPEG), lambda: _read_jpeg(encoded)),
            (starts_with(_PNG), lambda: _read_png(encoded)),
            (starts_with(_GIFS[0]) | starts_with(_GIFS[1]), lambda: _read_gif(encoded)),
            (starts_with(_BMP), lambda: _read_bmp(encoded)),
            (starts_with(_RIFF) & starts_with(_WEBP, 8), lambda: _read_webp(encoded)),
        ],
        default=lambda: _build_header(UNREADABLE, False, 0, 0),
    )
    shorter, longer = tf.minimum(found.width, found.height), tf.maximum(found.width, found.height)
    most = tf.where(found.kind == JPEG, _long(MAX_JPEG_PIXELS), _long(MAX_PIXELS))
    # Each side alone first: the product of two that fit into 32 bits fits into 64.
    fits = (shorter >= MIN_SIDE) & (longer <= most) & (shorter * longer <= most)
    fits &= longer <= MAX_ASPECT * shorter
    return found._replace(kind=tf.where(fits, found.kind, _long(UNREADABLE)))


def substring(encoded: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Bytes of a file as a string; fewer at its end."""
    start = tf.clip_by_value(_long(at), 0, _length(encoded))
    return tf.strings.substr(encoded, start, tf.maximum(_long(count), 0))


def read_bytes(encoded: tf.Tensor, at: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Bytes of a file as uint8 (count,); zeros beyond its end."""
    wanted = tf.cast(count, tf.int32)
    # The op needs a positive length.
    padded = tf.io.decode_raw(substring(encoded, at, count), tf.uint8, fixed_length=tf.maximum(wanted, 1))
    return tf.reshape(padded[:wanted], (wanted,))


def read_integer(encoded: tf.Tensor, at: tf.Tensor | int, count: int, little_endian: bool = False) -> tf.Tensor:
    """Unsigned integer of so many bytes, as int64."""
    powers = [256**place for place in range(count)]
    digits = tf.cast(read_bytes(encoded, at, count), tf.int64)
    return tf.reduce_sum(digits * tf.constant(powers if little_endian else powers[::-1], tf.int64))


def _long(value: tf.Tensor | int) -> tf.Tensor:
    return tf.cast(value, tf.int64)


def _length(encoded: tf.Tensor) -> tf.Tensor:
    return _long(tf.strings.length(encoded))


def _build_header(
    kind: int,
    readable: tf.Tensor | bool,
    width: tf.Tensor | int,
    height: tf.Tensor | int,
    orientation: tf.Tensor | int = 1,
    details: tuple[tf.Tensor | int, ...] = (),
) -> Header:
    padded = [_long(each) for each in details] + [_long(0)] * (_DETAILS - len(details))
    found = tf.where(readable, _long(kind), _long(UNREADABLE))
    return Header(found, _long(width), _long(height), _long(orientation), tf.stack(padded))


def _any_of(value: tf.Tensor, choices: tuple[int, ...] | range) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(list(choices), tf.int64))


def _read_jpeg(encoded: tf.Tensor) -> Header:
    """Reads a JPEG up to its first scan.

    Details: number of components; 1 if there is an Adobe segment.
    """

    def goes_on(at: tf.Tensor, steps: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (
            (read_integer(encoded, at, 1) == 0xFF)
            & (read_integer(encoded, at + 1, 1) != _START_OF_SCAN)
            & (steps < _MOST_STEPS)
        )

    def next_segment(at: tf.Tensor, steps: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        frame, exif, xmp, adobe = found
        marker = read_integer(encoded, at + 1, 1)
        starts = substring(encoded, at + 4, len(_XMP))
        is_frame = _any_of(marker, _FRAMES) & ~_any_of(marker, _NO_FRAMES)
        is_exif = (marker == _APP1) & (tf.strings.substr(starts, 0, len(_EXIF)) == _EXIF)
        is_xmp = (marker == _APP1) & (starts == _XMP)
        is_adobe = (marker == _APP14) & (tf.strings.substr(starts, 0, 5) == b"Adobe")
        size = tf.where(_any_of(marker, _WITHOUT_LENGTH), _long(2), 2 + read_integer(encoded, at + 2, 2))
        return (
            at + tf.where(marker == _FILL, _long(1), size),
            steps + 1,
            tf.where(is_frame & (frame == 0), at, frame),
            tf.where(is_exif & (exif == 0), at, exif),
            tf.where(is_xmp, at, xmp),
            tf.where(is_adobe, at, adobe),
        )

    begin = (_long(2), *[_long(0)] * 5)
    at, _, frame, exif, xmp, adobe = tf.while_loop(goes_on, next_segment, begin)
    components = read_integer(encoded, frame + 9, 1)
    readable = (
        (read_integer(encoded, at, 2) == 0xFF00 + _START_OF_SCAN)
        & _any_of(read_integer(encoded, frame + 1, 1), _DECODED_FRAMES)
        & (frame > 0)
        & (read_integer(encoded, frame + 4, 1) == 8)
        & _any_of(components, (1, 3, 4))
    )
    width, height = read_integer(encoded, frame + 7, 2), read_integer(encoded, frame + 5, 2)
    # The decoder reduces a large image, but keeps the coefficients of several scans, which have to fit into memory.
    scans = (read_integer(encoded, frame + 1, 1) == _PROGRESSIVE) | (read_integer(encoded, at + 4, 1) < components)
    coefficients = tf.where(scans, 2 * components * width * height, _long(0))
    plausible = (coefficients <= MAX_COEFFICIENT_BYTES) & (_length(encoded) >= width * height // MOST_PIXELS_A_BYTE)
    readable &= (width * height <= MAX_PIXELS) | plausible
    packet = substring(encoded, xmp + 4 + len(_XMP), read_integer(encoded, xmp + 2, 2) - 2 - len(_XMP))
    orientation = _read_orientation(encoded, exif > 0, exif + 4 + len(_EXIF), tf.where(xmp > 0, packet, ""))
    return _build_header(JPEG, readable, width, height, orientation, (components, adobe > 0))


def _read_png(encoded: tf.Tensor) -> Header:
    """Reads a PNG.

    Details: bits per sample; colour type; offset of the data of `tRNS` (0: none) and of `sBIT` (0: none); size of
    `tRNS`.
    """
    length = _length(encoded)

    def goes_on(at: tf.Tensor, steps: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (at + 12 <= length) & (substring(encoded, at + 4, 4) != b"IEND") & (steps < _MOST_STEPS)

    def next_chunk(at: tf.Tensor, steps: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pixels, transparency, exif, bits, xmp = found
        name, data = substring(encoded, at + 4, 4), at + 8
        is_xmp = (name == b"iTXt") & (substring(encoded, data, len(_PNG_XMP)) == _PNG_XMP)
        before = pixels == 0
        return (
            data + read_integer(encoded, at, 4) + 4,
            steps + 1,
            tf.where(name == b"IDAT", data, pixels),
            tf.where((name == b"tRNS") & before, data, transparency),
            tf.where(name == b"eXIf", data, exif),
            tf.where((name == b"sBIT") & before, data, bits),
            tf.where(is_xmp, data, xmp),
        )

    begin = (_long(len(_PNG)), *[_long(0)] * 6)
    at, _, pixels, transparency, exif, bits, xmp = tf.while_loop(goes_on, next_chunk, begin)
    depth, colour_type = read_integer(encoded, 24, 1), read_integer(encoded, 25, 1)
    valid = [(colour_type == colours) & _any_of(depth, depths) for colours, depths in _DEPTHS.items()]
    readable = (
        (substring(encoded, 8, 8) == b"\0\0\0\x0dIHDR")
        & tf.reduce_any(tf.stack(valid))
        & (read_integer(encoded, 26, 2) == 0)
        & (read_integer(encoded, 28, 1) <= 1)
        & (pixels > 0)
        & (at + 12 <= length)
        & (substring(encoded, at + 4, 4) == b"IEND")
    )
    text = substring(encoded, xmp + len(_PNG_XMP), read_integer(encoded, xmp - 8, 4) - len(_PNG_XMP))
    # Two bytes tell whether it is compressed, and how.
    plain = (xmp > 0) & (substring(text, 0, 2) == b"\0\0")
    orientation = _read_orientation(encoded, exif > 0, exif, tf.where(plain, text, ""))
    size = tf.where(transparency > 0, read_integer(encoded, transparency - 8, 4), _long(0))
    return _build_header(
        PNG, readable, read_integer(encoded, 16, 4), read_integer(encoded, 20, 4), orientation,
        (depth, colour_type, transparency, bits, size),
    )  # fmt: skip


def _read_gif(encoded: tf.Tensor) -> Header:
    """Reads a GIF up to the end of its first frame.

    Details: offset of the frame's descriptor, of its data, of their end, and of its palette (0: gray); number of
    colours; index of the transparent colour, or `NO_COLOUR`.
    """

    def table(flags: tf.Tensor) -> tf.Tensor:
        has = tf.bitwise.bitwise_and(flags, 0x80) > 0
        return tf.where(has, tf.bitwise.left_shift(_long(2), tf.bitwise.bitwise_and(flags, 7)), _long(0))

    def goes_on(at: tf.Tensor, steps: tf.Tensor, transparent: tf.Tensor) -> tf.Tensor:
        introducer = substring(encoded, at, 1)
        return (introducer != b",") & (introducer != b";") & (introducer != b"") & (steps < _MOST_STEPS)

    def next_block(at: tf.Tensor, steps: tf.Tensor, transparent: tf.Tensor) -> tuple[tf.Tensor, ...]:
        is_extension = substring(encoded, at, 1) == b"!"
        flags = read_integer(encoded, at + 3, 1)
        has_transparent = (
            is_extension & (read_integer(encoded, at + 1, 1) == 0xF9) & (tf.bitwise.bitwise_and(flags, 1) > 0)
        )
        end = tf.cond(is_extension, lambda: _find_end_of_blocks(encoded, at + 2) + 1, lambda: at + 1)
        return end, steps + 1, tf.where(has_transparent, read_integer(encoded, at + 6, 1), transparent)

    colours = table(read_integer(encoded, 10, 1))
    begin = (13 + 3 * colours, _long(0), _long(NO_COLOUR))
    frame, _, transparent = tf.while_loop(goes_on, next_block, begin)
    left, top, wide, high = (read_integer(encoded, frame + at, 2, True) for at in (1, 3, 5, 7))
    own = table(read_integer(encoded, frame + 9, 1))
    palette = tf.where(own > 0, frame + 10, tf.where(colours > 0, _long(13), _long(0)))
    data = frame + 10 + 3 * own
    end = _find_end_of_blocks(encoded, data + 1)
    readable = (substring(encoded, frame, 1) == b",") & (wide > 0) & (high > 0) & (end <= _length(encoded))
    width = tf.maximum(read_integer(encoded, 6, 2, True), left + wide)
    height = tf.maximum(read_integer(encoded, 8, 2, True), top + high)
    count = tf.where(own > 0, own, colours)
    return _build_header(GIF, readable, width, height, 1, (frame, data, end, palette, count, transparent))


def _find_end_of_blocks(encoded: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Offset of the empty block that ends a series of GIF's blocks; beyond the file if there is none."""

    def goes_on(at: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return (read_integer(encoded, at, 1) > 0) & (steps < _MOST_STEPS)

    def next_blocks(at: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Nearly all blocks have one size, so many are skipped at once.
        size = read_integer(encoded, at, 1) + 1
        sizes = tf.reshape(read_bytes(encoded, at, 256 * size), (256, -1))[:, 0]
        is_same = tf.math.cumprod(tf.cast(_long(sizes) + 1 == size, tf.int64))
        return at + size * tf.reduce_sum(is_same), steps + 1

    at, steps = tf.while_loop(goes_on, next_blocks, (at, _long(0)))
    return tf.where(steps < _MOST_STEPS, at, _length(encoded) + 1)


def _read_bmp(encoded: tf.Tensor) -> Header:
    """Reads a BMP.

    Details: bits per pixel; 1 if masks define the colours; 1 if the first row is the upper one; offsets of pixels and
    palette; number of colours.
    """
    header = read_integer(encoded, 14, 4, True)
    old = header == _OS2

    def field(at: int, count: int, old_at: int | None = None, default: int = 0) -> tf.Tensor:
        before = _long(default) if old_at is None else read_integer(encoded, old_at, 2, True)
        return tf.where(old, before, read_integer(encoded, at, count, True))

    width, stored_height = field(18, 4, 18), field(22, 4, 20)
    downwards = ~old & (read_integer(encoded, 25, 1) == 0xFF)
    height = tf.where(downwards, 2**32 - stored_height, stored_height)
    bits, coding = field(28, 2, 24), field(30, 4)
    stated = field(46, 4)
    colours = tf.where(stated > 0, stated, tf.bitwise.left_shift(_long(1), tf.minimum(bits, 32)))
    entry = tf.where(old, _long(3), _long(4))
    pixels = read_integer(encoded, 10, 4, True)
    # As in Pillow: the offset of the pixels may leave out the palette.
    pixels += tf.where((pixels == 14 + header) & (bits <= 8), entry * colours, _long(0))
    readable = (
        _any_of(header, _BMP_HEADERS)
        & _any_of(bits, _BMP_BITS)
        & ((coding == _RAW) | ((coding == _BITFIELDS) & (bits >= 16)))
        & ((bits > 8) | ((colours > 0) & (colours <= 2**16)))
        & (width < 2**31)
        & (height < 2**31)
        & (pixels >= 14 + header)
    )
    # An uncompressed file has all its rows; only the padding of the last one may be missing.
    readable &= pixels + bmp_stride(width, bits) * (height - 1) + (width * bits + 7) // 8 <= _length(encoded)
    details = (bits, coding == _BITFIELDS, downwards, pixels, 14 + header, colours)
    return _build_header(BMP, readable, width, height, 1, details)


def bmp_stride(width: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Bytes of a row of a BMP, padding included."""
    return (width * bits + 31) // 32 * 4


def _read_webp(encoded: tf.Tensor) -> Header:
    """Reads a WebP.

    Details: 1 if it is animated; 1 if its transparency counts; offset of the first frame's chunk; 1 if the pixels of
    that frame have opacity.
    """
    found: Header = tf.case(
        [
            (substring(encoded, 12, 4) == b"VP8X", lambda: _read_extended_webp(encoded)),
            (substring(encoded, 12, 4) == b"VP8L", lambda: _read_still_webp(encoded, 12)),
            (substring(encoded, 12, 4) == b"VP8 ", lambda: _read_still_webp(encoded, 12)),
        ],
        default=lambda: _build_header(UNREADABLE, False, 0, 0),
    )
    return found


def _read_still_webp(encoded: tf.Tensor, at: int) -> Header:
    readable, width, height, alpha = _read_webp_frame(encoded, _long(at))
    return _build_header(WEBP, readable, width, height, 1, (0, alpha, 0, alpha))


def _read_webp_frame(encoded: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Whether a chunk holds pixels, their width and height, and whether they may be transparent."""
    name, data = substring(encoded, at, 4), at + 8
    lossless = name == b"VP8L"
    packed = read_integer(encoded, data + 1, 4, True)
    low = tf.bitwise.bitwise_and(packed, 0x3FFF) + 1
    high = tf.bitwise.bitwise_and(packed // 2**14, 0x3FFF) + 1
    width = tf.bitwise.bitwise_and(read_integer(encoded, data + 6, 2, True), 0x3FFF)
    height = tf.bitwise.bitwise_and(read_integer(encoded, data + 8, 2, True), 0x3FFF)
    is_lossy = (name == b"VP8 ") & (substring(encoded, data + 3, 3) == b"\x9d\x01\x2a")
    is_lossless = lossless & (read_integer(encoded, data, 1) == 0x2F)
    return (
        (is_lossy | is_lossless) & (data + read_integer(encoded, at + 4, 4, True) <= _length(encoded)),
        tf.where(lossless, low, width),
        tf.where(lossless, high, height),
        lossless & (tf.bitwise.bitwise_and(packed // 2**28, 1) > 0),
    )


def _read_extended_webp(encoded: tf.Tensor) -> Header:
    length = _length(encoded)

    def goes_on(at: tf.Tensor, steps: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (at + 8 <= length) & (steps < _MOST_STEPS)

    def next_chunk(at: tf.Tensor, steps: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        frame, still, opacity, exif, xmp = found
        name, size = substring(encoded, at, 4), read_integer(encoded, at + 4, 4, True)

        def first(names: tuple[bytes, ...], before: tf.Tensor) -> tf.Tensor:
            return tf.where(tf.reduce_any(name == tf.constant(names)) & (before == 0), at, before)

        return (
            at + 8 + size + size % 2,
            steps + 1,
            first((b"ANMF",), frame),
            first((b"VP8 ", b"VP8L"), still),
            first((b"ALPH",), opacity),
            first((b"EXIF",), exif),
            first((b"XMP ",), xmp),
        )

    _, steps, frame, still, opacity, exif, xmp = tf.while_loop(goes_on, next_chunk, (_long(30), *[_long(0)] * 6))
    flags = read_integer(encoded, 20, 1)
    animated = tf.bitwise.bitwise_and(flags, _ANIMATED) > 0
    width, height = (read_integer(encoded, at, 3, True) + 1 for at in (24, 27))
    # The pixels of a frame follow its header and, if there is one, the chunk of its opacity.
    in_frame = frame + 8 + _FRAME_HEADER
    has_opacity = animated & (substring(encoded, in_frame, 4) == b"ALPH")
    skipped = read_integer(encoded, in_frame + 4, 4, True)
    first = in_frame + tf.where(has_opacity, 8 + skipped + skipped % 2, _long(0))
    readable, wide, high, transparent = _read_webp_frame(encoded, tf.where(animated, first, still))
    left, top = (2 * read_integer(encoded, frame + 8 + at, 3, True) for at in (0, 3))
    stated_wide, stated_high = (read_integer(encoded, frame + 8 + at, 3, True) + 1 for at in (6, 9))
    framed = (frame > 0) & (left + wide <= width) & (top + high <= height)
    framed &= (stated_wide == wide) & (stated_high == high)
    framed &= frame + 8 + read_integer(encoded, frame + 4, 4, True) <= length
    whole = (still > 0) & (wide == width) & (high == height)
    stated = tf.bitwise.bitwise_and(flags, _ALPHA) > 0
    lossless = substring(encoded, still, 4) == b"VP8L"
    of_still = tf.where(lossless, transparent, stated) | (opacity > 0)
    alpha, of_frame = tf.where(animated, stated, of_still), tf.where(animated, has_opacity | transparent, of_still)
    start = exif + 8
    tiff = start + tf.where(substring(encoded, start, len(_EXIF)) == _EXIF, _long(len(_EXIF)), _long(0))
    packet = substring(encoded, xmp + 8, read_integer(encoded, xmp + 4, 4, True))
    orientation = _read_orientation(encoded, exif > 0, tiff, tf.where(xmp > 0, packet, ""))
    readable &= tf.where(animated, framed, whole) & (steps < _MOST_STEPS) & (read_integer(encoded, 16, 4, True) == 10)
    return _build_header(WEBP, readable, width, height, orientation, (animated, alpha, frame, of_frame))


def _read_orientation(encoded: tf.Tensor, has_exif: tf.Tensor, tiff: tf.Tensor, xmp: tf.Tensor) -> tf.Tensor:
    """Reads the orientation from EXIF, or else from XMP; 1 if neither states a valid one.

    Source: CIPA DC-008, "Exchangeable image file format"; TIFF 6.0, "Image File Directory".

    Args:
        encoded: Bytes of the file.
        has_exif: True if the file has EXIF.
        tiff: Offset of the EXIF data, after their signature.
        xmp: XMP packet; empty: none.
    """
    length = _length(encoded)
    byte_order = substring(encoded, tiff, len(_LITTLE_ENDIAN))
    little_endian = byte_order == _LITTLE_ENDIAN
    is_tiff = has_exif & (little_endian | (byte_order == _BIG_ENDIAN))
    short = tf.where(little_endian, [1, 2**8], [2**8, 1])
    long = tf.where(little_endian, [1, 2**8, 2**16, 2**24], [2**24, 2**16, 2**8, 1])

    def numbers(content: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(_long(content) * _long(weights), axis=-1)

    directory = tiff + numbers(read_bytes(encoded, tiff + 4, 4), long)
    entries = tf.clip_by_value(directory + 2, 0, length)
    count = tf.minimum(numbers(read_bytes(encoded, directory, 2), short), (length - entries) // _ENTRY)
    count = tf.where(is_tiff, count, _long(0))
    fields = tf.reshape(read_bytes(encoded, entries, count * _ENTRY), (-1, _ENTRY))
    tags, kinds, shorts = (numbers(fields[:, at : at + 2], short) for at in (0, 2, 8))
    counts, longs = (numbers(fields[:, at : at + 4], long) for at in (4, 8))
    values = tf.where(kinds == _LONG, longs, shorts)
    stated = values[(tags == _ORIENTATION) & ((kinds == _SHORT) | (kinds == _LONG)) & (counts == 1)]
    pattern = '(?s)^.*?tiff:Orientation(?:="|>)([0-9]).*$'
    in_xmp = tf.strings.regex_full_match(xmp, pattern)
    digit = tf.strings.regex_replace(xmp, pattern, "\\1", replace_global=False)
    otherwise = tf.strings.to_number(tf.where(in_xmp, digit, "1"), tf.int64)
    orientation = tf.concat([stated[:1], [otherwise]], 0)[0]
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, _long(1))
