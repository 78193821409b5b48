"""Every form of image file that predictions are made for.

Forms differ in colour type, depth, transparency, interlacing, orientation and all else that decoders depend on.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Encoder = Callable[[Image.Image], bytes]

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Turns that store an upright image under each EXIF orientation, the inverse of Pillow's ImageOps.exif_transpose."""

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types of PNG."""

_SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
_DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
)


def forms() -> dict[str, Encoder]:
    """Encoders of an RGB image by the names of the forms that they make."""
    return dict(itertools.chain(_jpegs(), _pngs(), _gifs(), _bmps(), _webps()))


def rotate_as_stored(image: Image.Image, orientation: int) -> Image.Image:
    """Turns an upright image as a camera held in this orientation stores it."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def exif(orientation: int, order: str = "<") -> bytes:
    """EXIF data, without their signature, that state nothing but an orientation."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def opacity(image: Image.Image) -> Image.Image:
    """Opacity that decreases to the right and is zero in the last rows."""
    width, height = image.size
    values = np.broadcast_to(np.linspace(255, 60, width), (height, width)).copy()
    values[height - height // 4 :] = 0
    return Image.fromarray(values.astype(np.uint8))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpegs() -> Iterator[tuple[str, Encoder]]:
    for mode, progressive in itertools.product(("L", "RGB", "CMYK"), (False, True)):
        yield (
            f"JPEG {mode}{' progressive' * progressive}",
            lambda image, mode=mode, progressive=progressive: _saved(
                image.convert(mode), "JPEG", quality=95, progressive=progressive
            ),
        )
    for mode in ("CMYK", "RGB"):
        yield f"JPEG {mode} without a word on its colours", lambda image, mode=mode: _without_marks(image, mode)
    yield "JPEG YCCK", lambda image: _with_adobe_transform(_saved(image.convert("CMYK"), "JPEG", quality=95), 2)
    yield "JPEG stored as RGB", lambda image: _saved(image, "JPEG", quality=95, keep_rgb=True)
    yield "JPEG 4:2:0", lambda image: _saved(image, "JPEG", quality=90, subsampling=2)
    yield "JPEG with restarts", lambda image: _saved(image, "JPEG", quality=90, restart_marker_blocks=2)
    yield "JPEG with fill bytes", lambda image: _saved(image, "JPEG").replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)
    yield "JPEG arithmetic", lambda image: _saved(image, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    for orientation, order in itertools.product(range(2, 9), "<>"):
        yield (
            f"JPEG orientation {orientation} {order}",
            lambda image, orientation=orientation, order=order: _saved(
                rotate_as_stored(image, orientation), "JPEG", quality=95, exif=b"Exif\0\0" + exif(orientation, order)
            ),
        )
    yield (
        "JPEG orientation 6 in XMP",
        lambda image: _saved(rotate_as_stored(image, 6), "JPEG", quality=95, xmp=(_XMP % 6).encode()),
    )
    yield (
        "JPEG orientation 8 in EXIF, 6 in XMP",
        lambda image: _saved(
            rotate_as_stored(image, 8), "JPEG", quality=95, xmp=(_XMP % 6).encode(), exif=b"Exif\0\0" + exif(8)
        ),
    )


def _without_marks(image: Image.Image, mode: str) -> bytes:
    """A JPEG without the segments of JFIF and Adobe, which define the colours of the samples."""
    content = _saved(image.convert(mode), "JPEG", quality=95)
    for marker in (b"\xff\xe0", b"\xff\xee"):
        if (at := content[:64].find(marker)) >= 0:
            content = content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4]) :]
    return content


def _with_adobe_transform(content: bytes, transform: int) -> bytes:
    at = content.index(b"Adobe") + 11
    return content[:at] + bytes([transform]) + content[at + 1 :]


def _pngs() -> Iterator[tuple[str, Encoder]]:
    names = {GRAY: "gray", RGB: "RGB", PALETTE: "palette", GRAY_ALPHA: "gray and alpha", RGBA: "RGBA"}
    for colours, name in names.items():
        for depth, transparent, interlaced in itertools.product(_DEPTHS[colours], (False, True), (False, True)):
            if transparent and colours in (GRAY_ALPHA, RGBA):
                continue
            yield (
                f"PNG {name} {depth}{' transparent' * transparent}{' interlaced' * interlaced}",
                lambda image, form=(colours, depth, transparent, interlaced): png(image, *form),
            )
    yield "PNG gray 2, another value transparent", lambda image: png(image, GRAY, 2, value=2)
    yield "PNG gray 1, white transparent", lambda image: png(image, GRAY, 1, value=1)
    for bits, colours in itertools.product((8, 10, 12, 16), (GRAY, RGB)):
        name = f"PNG {names[colours]} 16 of {bits} bits"
        yield name, lambda image, bits=bits, colours=colours: png(image, colours, 16, bits=bits)
        yield (
            f"{name}, as it states",
            lambda image, bits=bits, colours=colours: png(
                image, colours, 16, bits=bits, before=[(b"sBIT", bytes([bits] * _SAMPLES[colours]))]
            ),
        )
        yield (
            f"{name}, scaled as it states",
            lambda image, bits=bits, colours=colours: png(
                image, colours, 16, before=[(b"sBIT", bytes([bits] * _SAMPLES[colours]))]
            ),
        )
    yield "PNG palette 8 of three colours", lambda image: _saved(image.quantize(3), "PNG")
    for after in (False, True):
        for orientation in (3, 6):
            yield (
                f"PNG orientation {orientation}{' after its pixels' * after}",
                lambda image, orientation=orientation, after=after: png(
                    rotate_as_stored(image, orientation),
                    RGB,
                    8,
                    chunks=[(b"eXIf", exif(orientation, ">"))],
                    after=after,
                ),
            )
    yield (
        "PNG orientation 6 in XMP",
        lambda image: png(
            rotate_as_stored(image, 6),
            RGB,
            8,
            chunks=[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + (_XMP % 6).encode())],
        ),
    )
    yield (
        "PNG animated",
        lambda image: _saved(image, "PNG", save_all=True, append_images=[image.transpose(TURNS[2])], duration=100),
    )


def png(
    image: Image.Image,
    colours: int,
    depth: int,
    transparent: bool = False,
    interlaced: bool = False,
    value: int | None = None,
    chunks: list[tuple[bytes, bytes]] | None = None,
    after: bool = False,
    bits: int = 16,
    before: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    """Encodes an image as PNG.

    Args:
        image: RGB.
        colours: Colour type.
        depth: Bits of a sample.
        transparent: Whether one colour, or some of a palette, are transparent.
        interlaced: Whether by Adam7.
        value: The transparent one of gray, as it is stored.
        chunks: More chunks, name and data each.
        after: Whether these come after the pixels.
        bits: Those of 16 that are used, the lower ones.
        before: Chunks that come before the palette.
    """
    samples, palette = _samples(image, colours, depth)
    if depth == 16:
        samples = samples >> (16 - bits)
    height, width = samples.shape[:2]
    more = list(before or [])
    if palette is not None:
        more.append((b"PLTE", palette.tobytes()))
    if transparent or value is not None:
        if palette is not None:
            more.append((b"tRNS", bytes([0, 128])))
        else:
            corner = samples[0, 0] if value is None else np.array([value])
            more.append((b"tRNS", struct.pack(f">{len(corner)}H", *corner)))
    rows = b"".join(
        b"\0" + _packed(line, depth)
        for top, left, down, right in (_ADAM7 if interlaced else [(0, 0, 1, 1)])
        for line in samples[top::down, left::right]
        if line.size
    )
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    extra, pixels = chunks or [], [(b"IDAT", zlib.compress(rows))]
    ordered = [(b"IHDR", header), *more, *(pixels + extra if after else extra + pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in ordered)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk with a correct checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _samples(image: Image.Image, colours: int, depth: int) -> tuple[NDArray[np.integer], NDArray[np.uint8] | None]:
    """Samples (height, width, samples of a pixel), and the palette (n, 3) where there is one."""
    if colours == PALETTE:
        numbered = image.quantize(2**depth)
        palette = np.array(numbered.getpalette("RGB"), np.uint8)[: 3 * 2**depth].reshape(-1, 3)
        return np.asarray(numbered)[..., None], palette
    bands = {GRAY: "L", GRAY_ALPHA: "L", RGB: "RGB", RGBA: "RGB"}[colours]
    values = np.asarray(image.convert(bands)).reshape(image.height, image.width, -1)
    if colours in (GRAY_ALPHA, RGBA):
        values = np.concatenate([values, np.asarray(opacity(image))[..., None]], -1)
    if depth == 16:
        # The lower byte is another one, so that whoever reads the wrong byte is found out.
        return values.astype(np.uint16) * 256 + (values[::-1] ^ 0x55), None
    return values >> (8 - depth), None


def _packed(line: NDArray[np.integer], depth: int) -> bytes:
    flat = line.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()


def _gifs() -> Iterator[tuple[str, Encoder]]:
    for colours, interlace, transparent in itertools.product((2, 16, 256), (0, 1), (False, True)):
        yield (
            f"GIF {colours}{' interlaced' * interlace}{' transparent' * transparent}",
            lambda image, colours=colours, interlace=interlace, transparent=transparent: _saved(
                image.quantize(colours), "GIF", interlace=interlace, **({"transparency": 1} if transparent else {})
            ),
        )
    yield "GIF gray", lambda image: _saved(image.convert("L"), "GIF")
    yield "GIF gray transparent", lambda image: _saved(image.convert("L"), "GIF", transparency=100)
    yield (
        "GIF animated",
        lambda image: _saved(
            image.quantize(64), "GIF", save_all=True, append_images=[image.transpose(TURNS[2]).quantize(64)]
        ),
    )
    for transparent, beyond in itertools.product((False, True), (False, True)):
        yield (
            f"GIF whose frame is {'beyond' if beyond else 'a part of'} the canvas{' transparent' * transparent}",
            lambda image, transparent=transparent, beyond=beyond: _gif_of_a_part(image, transparent, beyond),
        )
    yield "GIF with its own palette", _gif_with_local_palette
    yield (
        "GIF with a comment and an application's data",
        lambda image: _saved(
            image.quantize(64), "GIF", comment=b"c" * 700, loop=0, save_all=True, append_images=[image.quantize(32)]
        ),
    )
    yield "GIF without a palette", lambda image: _gif_without_palette(image)
    yield "GIF with an empty terminator left out", lambda image: _saved(image.quantize(64), "GIF")[:-1]


def _gif_parts(image: Image.Image, colours: int = 64) -> tuple[bytes, bytes, bytes]:
    """Screen, palette, and what follows, of a GIF that begins with its only frame."""
    content = _saved(image.quantize(colours), "GIF")
    size = 3 << ((content[10] & 7) + 1)
    return content[:13], content[13 : 13 + size], content[13 + size :]


def _gif_of_a_part(image: Image.Image, transparent: bool, beyond: bool) -> bytes:
    screen, palette, rest = _gif_parts(image)
    at = rest.index(b",")
    canvas = (image.width - 5, image.height + 9) if beyond else (image.width + 20, image.height + 30)
    place = struct.pack("<HH", 7, 11)
    control = b"!\xf9\x04\x01\0\0\x03\0" if transparent else b""
    return screen[:6] + struct.pack("<HH", *canvas) + screen[10:] + palette + control + b"," + place + rest[at + 5 :]


def _gif_with_local_palette(image: Image.Image) -> bytes:
    screen, palette, rest = _gif_parts(image)
    at = rest.index(b",")
    flags = 0x80 | (screen[10] & 7)
    other = bytes(reversed(palette))
    return screen + other + rest[: at + 9] + bytes([flags]) + palette + rest[at + 10 :]


def _gif_without_palette(image: Image.Image) -> bytes:
    content = _saved(image.convert("L"), "GIF")
    size = 3 << ((content[10] & 7) + 1)
    return content[:10] + b"\0" + content[11:13] + content[13 + size :]


_OS2, _V3, _V4, _V5 = 12, 40, 108, 124
_MASKS = {
    16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0), (0xF00, 0xF0, 0xF, 0)],
    32: [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0),
    ],
}


def _bmps() -> Iterator[tuple[str, Encoder]]:
    for header, bits, downwards in itertools.product((_OS2, _V3, _V4, _V5), (1, 4, 8, 16, 24, 32), (False, True)):
        if header == _OS2 and (downwards or bits in (16, 32)):
            continue
        yield (
            f"BMP {bits}, header of {header}{' downwards' * downwards}",
            lambda image, header=header, bits=bits, downwards=downwards: bmp(image, bits, header, downwards),
        )
    for header, bits in itertools.product((_V3, 56, _V5), _MASKS):
        for masks in _MASKS[bits]:
            names = "/".join(f"{mask:X}" for mask in masks)
            yield (
                f"BMP {bits}, header of {header}, masks {names}",
                lambda image, header=header, bits=bits, masks=masks: bmp(image, bits, header, masks=masks),
            )
    yield "BMP 32, opacity of zeros", lambda image: bmp(image, 32, _V5, masks=_MASKS[32][3], opaque=0)
    yield "BMP 8, few colours", lambda image: bmp(image, 8, _V3, colours=11)
    yield "BMP 8, gray", lambda image: _saved(image.convert("L"), "BMP")
    yield "BMP 8, run lengths", lambda image: _with_run_lengths(image)


def bmp(
    image: Image.Image,
    bits: int,
    header: int = _V3,
    downwards: bool = False,
    masks: tuple[int, int, int, int] | None = None,
    colours: int = 0,
    opaque: int | None = None,
) -> bytes:
    """Encodes an image as BMP.

    Args:
        image: RGB.
        bits: Of a pixel.
        header: Bytes of the header that tells its version.
        downwards: Whether the upper row comes first.
        masks: Bits of red, green, blue and opacity, where they are stated.
        colours: Of the palette; 0: as many as there can be.
        opaque: The opacity of all pixels; None: one that differs.
    """
    width, height = image.size
    palette = b""
    if bits <= 8:
        numbered = image.quantize(colours or 2**bits)
        count = colours or 2**bits
        entries = np.zeros((count, 3 if header == _OS2 else 4), np.uint8)
        stated = np.array(numbered.getpalette("RGB"), np.uint8).reshape(-1, 3)[:count]
        entries[: len(stated), :3] = stated[:, ::-1]
        palette = entries.tobytes()
        rows = [_packed(line[:, None], bits) for line in np.asarray(numbered)]
    elif bits == 24:
        rows = [line[:, ::-1].tobytes() for line in np.asarray(image)]
    else:
        layout = masks or {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0xFF000000)}[bits]
        values = np.zeros((height, width), np.uint32)
        alpha = opacity(image) if opaque is None else Image.new("L", image.size, opaque)
        for mask, band in zip(layout, [*image.split(), alpha], strict=True):
            if mask:
                low = (mask & -mask).bit_length() - 1
                most = mask >> low
                values |= (np.asarray(band).astype(np.uint32) * most // 255) << low
        rows = [line.astype(f"<u{bits // 8}").tobytes() for line in values]
    rows = [row + bytes(-len(row) % 4) for row in (rows if downwards else rows[::-1])]
    high = -height if downwards else height
    if header == _OS2:
        facts = struct.pack("<IHHHH", header, width, height, 1, bits)
    else:
        facts = struct.pack(
            "<IiiHHIIiiII", header, width, high, 1, bits, 3 if masks else 0, 0, 2835, 2835, colours, 0
        )
        if masks:
            facts += struct.pack("<4I", *masks)[: 12 if header == _V3 else 16]
        facts += bytes(max(0, header - len(facts)))
    begin = 14 + len(facts) + len(palette)
    pixels = b"".join(rows)
    return b"BM" + struct.pack("<IHHI", begin + len(pixels), 0, 0, begin) + facts + palette + pixels


def _with_run_lengths(image: Image.Image) -> bytes:
    """A BMP of 8 bits whose runs are one pixel long."""
    plain = bmp(image, 8)
    lines = np.asarray(image.quantize(256))[::-1]
    runs = b"".join(b"".join(bytes([1, value]) for value in line) + b"\0\0" for line in lines) + b"\0\1"
    begin = int.from_bytes(plain[10:14], "little")
    return plain[:30] + b"\1" + plain[31:begin] + runs


def _webps() -> Iterator[tuple[str, Encoder]]:
    for lossless, alpha in itertools.product((False, True), (False, True)):
        name = f"{' lossless' * lossless}{' transparent' * alpha}"
        options = {"lossless": lossless, "quality": 90}
        yield (
            f"WebP{name}",
            lambda image, alpha=alpha, options=options: _saved(_seen(image, alpha), "WEBP", **options),
        )
        yield (
            f"WebP orientation 6{name}",
            lambda image, alpha=alpha, options=options: _saved(
                _seen(rotate_as_stored(image, 6), alpha), "WEBP", exif=b"Exif\0\0" + exif(6), **options
            ),
        )
        yield f"WebP animated{name}", lambda image, alpha=alpha, options=options: _saved(
            _seen(image, alpha), "WEBP", save_all=True, duration=100,
            append_images=[_seen(image.transpose(TURNS[2]), alpha)], **options,
        )  # fmt: skip
        for stated in (False, True):
            yield (
                f"WebP whose first frame is a part of the canvas{name}{' and says so' * stated}",
                lambda image, alpha=alpha, options=options, stated=stated: animated_webp(
                    _saved(_seen(image, alpha), "WEBP", **options), image.size, stated
                ),
            )
    yield (
        "WebP orientation 6 in EXIF without a signature",
        lambda image: _saved(rotate_as_stored(image, 6), "WEBP", exif=exif(6)),
    )
    yield (
        "WebP orientation 6 in XMP",
        lambda image: _saved(rotate_as_stored(image, 6), "WEBP", xmp=(_XMP % 6).encode()),
    )


def _seen(image: Image.Image, alpha: bool) -> Image.Image:
    seen = image.copy()
    if alpha:
        seen.putalpha(opacity(image))
    return seen


def animated_webp(still: bytes, size: tuple[int, int], alpha: bool, around: tuple[int, int] = (20, 30)) -> bytes:
    """An animation of one frame, which does not fill the canvas.

    Args:
        still: The frame, as WebP.
        size: Its width and height.
        alpha: Whether the file says that it may be transparent.
        around: By how many pixels the canvas is wider and higher.
    """
    chunks = still[12:] if still[12:16] != b"VP8X" else still[30:]
    width, height = size
    left, top = 6, 10

    def three(value: int) -> bytes:
        return value.to_bytes(3, "little")

    frame = three(left // 2) + three(top // 2) + three(width - 1) + three(height - 1) + three(100) + b"\0" + chunks
    canvas = three(width + around[0] - 1) + three(height + around[1] - 1)
    body = b"WEBP" + webp_chunk(b"VP8X", bytes([0x02 | (0x10 if alpha else 0), 0, 0, 0]) + canvas)
    body += webp_chunk(b"ANIM", b"\xff\xff\xff\xff\0\0") + webp_chunk(b"ANMF", frame)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk, padded to an even length."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
