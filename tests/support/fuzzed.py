"""Image files damaged as an attacker would, also behind checksums and compression."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from support.forms import forms, png_chunk, webp_chunk

_NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF)
_NUMBERS_OF_4 = (0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 46341, 65537, 0x40000001)
_HEAD = 64

_PNG, _GIF, _WEBP, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"\xff\xd8", b"BM"


def draw_image(width: int = 50, height: int = 40) -> Image.Image:
    """Draws a small image with another colour in each corner, and noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    colours = np.stack([x * 215 / width, y * 215 / height, (x + y) * 215 / (width + height)], -1)
    return Image.fromarray((colours + noise).astype(np.uint8))


def mutate_files(image: Image.Image, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields damaged files, JPEG, PNG, GIF, BMP and WebP in turn, each with the name of its form.

    Args:
        image: RGB image in the files before they are damaged; small, so that many are tried in little time.
        count: Number of files.
        seed: Random seed of the damage.
    """
    chance = random.Random(seed)
    whole: dict[str, list[tuple[str, bytes]]] = {}
    for name, encode in forms().items():
        whole.setdefault(name.split()[0], []).append((name, encode(image)))
    kinds = list(whole)
    for at in range(count):
        name, content = chance.choice(whole[kinds[at % len(kinds)]])
        other = chance.choice(whole[chance.choice(kinds)])[1]
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            content = _mutate(content, other, chance)
        yield name, content


def _mutate(content: bytes, other: bytes, chance: random.Random) -> bytes:
    ways: list[Callable[[bytes, bytes, random.Random], bytes]] = [
        _flip, _number, _number, _number_in_head, _number_in_head, _cut, _splice, _repeat, _remove,
    ]  # fmt: skip
    for magic, way in ((_PNG, _in_png), (_WEBP, _in_webp), (_JPEG, _in_jpeg), (_GIF, _in_gif), (_BMP, _in_bmp)):
        if content.startswith(magic):
            ways += [way] * len(ways)
    return chance.choice(ways)(content, other, chance)


def _flip(content: bytes, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 5, 50))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _number_at(content: bytes, at: int, chance: random.Random) -> bytes:
    size = chance.choice((1, 2, 3, 4))
    value = chance.choice(_NUMBERS + _NUMBERS_OF_4) % 256**size
    return content[:at] + value.to_bytes(size, chance.choice(("big", "little"))) + content[at + size :]


def _number(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return _number_at(content, chance.randrange(len(content) + 1), chance)


def _number_in_head(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return _number_at(content, chance.randrange(min(len(content), _HEAD) + 1), chance)


def _cut(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _splice(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other)) :]


def _repeat(content: bytes, other: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(content) + 1)
    piece = content[begin : begin + chance.choice((1, 4, 16, 256, 2000))]
    return content[:begin] + piece * chance.choice((2, 3, 40)) + content[begin:]


def _remove(content: bytes, other: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(content) + 1)
    return content[:begin] + content[begin + chance.choice((1, 2, 4, 16, 256)) :]


def _png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], len(_PNG)
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def _in_png(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Alters a chunk, its order, or the pixels before compression; every checksum is right."""
    chunks = _png_chunks(content)
    if not chunks:
        return content
    at = chance.randrange(len(chunks))
    name, data = chunks[at]
    way = chance.randrange(6)
    if way == 0 and name == b"IDAT":
        try:
            rows = zlib.decompress(data)
        except zlib.error:
            rows = data
        level = chance.choice((0, 1, 9))
        chunks[at] = name, zlib.compress(_mutated_bytes(rows, chance), level)
    elif way == 1:
        chunks.insert(chance.randrange(len(chunks) + 1), (name, data))
    elif way == 2:
        del chunks[at]
    elif way == 3:
        chunks[at] = chance.choice((b"PLTE", b"tRNS", b"eXIf", b"acTL", b"IDAT", b"iCCP", b"gAMA", b"sBIT")), data
    elif way == 4:
        size = chance.choice((0, 1, 2, 3, 6, 255, 768, 800))
        chunks.insert(1, (chance.choice((b"tRNS", b"PLTE", b"sBIT", b"eXIf")), chance.randbytes(size)))
    else:
        chunks[at] = name, _mutated_bytes(data, chance)
    return _PNG + b"".join(png_chunk(*chunk) for chunk in chunks)


def _mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    return chance.choice((_flip, _number, _cut, _repeat, _remove))(data or b"\0", b"\0", chance)


def _in_webp(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Alters, repeats, removes or renames a chunk; the sizes around it stay right, and canvas and flags are tried."""
    chunks, at = [], 12
    while at + 8 <= len(content) and len(chunks) < 1000:
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        chunks.append([content[at : at + 4], content[at + 8 : at + 8 + size]])
        at += 8 + size + size % 2
    if not chunks:
        return content
    at = chance.randrange(len(chunks))
    way = chance.randrange(6)
    if way == 0:
        chunks.insert(chance.randrange(len(chunks) + 1), list(chunks[at]))
    elif way == 1:
        del chunks[at]
    elif way == 2:
        chunks[at][0] = chance.choice((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"XMP "))
    elif way == 3 and chunks[0][0] == b"VP8X" and len(chunks[0][1]) >= 10:
        facts = bytearray(chunks[0][1])
        facts[0] = chance.randrange(256)
        canvas = _number_at(bytes(facts), 4 + chance.randrange(6), chance)
        chunks[0][1] = bytes(facts) if chance.random() < 0.5 else canvas
    elif way == 4:
        # The header of a frame: its place and its sides.
        chunks[at][1] = _number_at(chunks[at][1], chance.randrange(min(len(chunks[at][1]), 32) + 1), chance)
    else:
        chunks[at][1] = _mutated_bytes(chunks[at][1], chance)
    body = b"WEBP" + b"".join(webp_chunk(*chunk) for chunk in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _in_jpeg(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Alters a segment before the pixels: sides, components, tables, EXIF."""
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA and len(segments) < 1000:
        size = int.from_bytes(content[at + 2 : at + 4])
        segments.append([content[at + 1], content[at + 4 : at + 2 + size]])
        at += 2 + size
    if not segments:
        return content
    rest = content[at:]
    where = chance.randrange(len(segments))
    way = chance.randrange(6)
    if way == 0:
        segments.insert(chance.randrange(len(segments) + 1), list(segments[where]))
    elif way == 1:
        del segments[where]
    elif way == 2:
        segments[where][0] = chance.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE))
    elif way == 3:
        rest = rest[:2] + _mutated_bytes(rest[2:], chance)
    else:
        segments[where][1] = _mutated_bytes(segments[where][1], chance)[:60_000]
    anew = b"".join(bytes([0xFF, name]) + struct.pack(">H", len(data) + 2) + data for name, data in segments)
    return content[:2] + anew + rest


def _in_gif(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Alters the screen, a frame's descriptor, the code size, or the codes within their blocks."""
    frame = content.find(b",", 13)
    way = chance.randrange(4)
    if frame < 0 or way == 0:
        return _number_at(content, 6 + chance.randrange(7), chance)
    if way == 1:
        return _number_at(content, frame + 1 + chance.randrange(10), chance)
    if way == 2:
        return content[: frame + 11] + _flip(content[frame + 11 :], b"", chance)
    extensions = (b"!\xf9\x04\x01\0\0\xff\0", b"!\xfe\xff", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"!")
    return content[:frame] + chance.choice(extensions) + content[frame:]


def _in_bmp(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Alters a field of the header."""
    at = chance.choice((2, 10, 14, 18, 22, 26, 28, 30, 34, 46, 54, 66))
    size = 2 if at in (26, 28) else 4
    choices = (*_NUMBERS, *_NUMBERS_OF_4, 12, 16, 24, 32, 40, 56, 124, 3, 4, 5)
    value = chance.choice(choices) % 256**size
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]
