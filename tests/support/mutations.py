"""PNG files with seeded damage, also behind checksums: changed chunks get right checksums again."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Chunk = tuple[bytes, bytes]
"""Kind and content of a chunk."""


def read_chunks(png: bytes) -> list[Chunk]:
    found, at = [], len(SIGNATURE)
    while at < len(png):
        size = int.from_bytes(png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def join_chunks(chunks: list[Chunk]) -> bytes:
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return SIGNATURE + b"".join(parts)


def flip_bytes(content: bytes, draw: np.random.Generator, first: int = 0) -> bytes:
    """A copy with one to three bytes changed, from `first` on."""
    damaged = bytearray(content)
    for at in draw.integers(first, len(damaged), draw.integers(1, 4)) if len(damaged) > first else ():
        damaged[at] = draw.integers(256)
    return bytes(damaged)


def damage_png(png: bytes, draw: np.random.Generator, number: int) -> Iterator[bytes]:
    """Yields copies of a PNG, each damaged in one way, most of them with right checksums."""
    chunks = read_chunks(png)
    stream = b"".join(content for kind, content in chunks if kind == b"IDAT")
    rows = zlib.decompress(stream)
    before = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    end = (b"IEND", b"")

    def with_stream(data: bytes) -> bytes:
        cut = int(draw.integers(1, len(data) + 1)) if data and draw.integers(2) else len(data)
        return join_chunks(
            [*before, (b"IDAT", data[:cut]), *([(b"IDAT", data[cut:])] if cut < len(data) else []), end]
        )

    for turn in range(number):
        match turn % 10:
            case 0:  # Anything, anywhere.
                yield flip_bytes(png, draw, first=8)
            case 1:  # The compressed stream.
                yield with_stream(flip_bytes(stream, draw))
            case 2:  # Its end, where the check of the whole lies.
                yield with_stream(stream[:-8] + flip_bytes(stream[-8:], draw))
            case 3:  # Rows and their filters.
                yield with_stream(zlib.compress(flip_bytes(rows, draw)))
            case 4:  # Too few rows.
                yield with_stream(zlib.compress(rows[: draw.integers(len(rows))]))
            case 5:  # Too many.
                yield with_stream(zlib.compress(rows + draw.bytes(int(draw.integers(1, 300)))))
            case 6:  # The stream cut off, or followed by something.
                cut = draw.integers(len(stream))
                yield with_stream(stream[:cut] if draw.integers(2) else stream + draw.bytes(9))
            case 7:  # The header.
                yield join_chunks([(b"IHDR", flip_bytes(chunks[0][1], draw)), *chunks[1:]])
            case 8:  # A chunk more.
                kind = [b"PLTE", b"tRNS", b"gAMA", b"sBIT", b"eXIf", b"iCCP", b"acTL", b"IDAT", b"xxXx", b"XXXX"]
                extra = (kind[draw.integers(len(kind))], draw.bytes(int(draw.integers(0, 13))))
                at = draw.integers(len(chunks) + 1)
                yield join_chunks([*chunks[:at], extra, *chunks[at:]])
            case 9:  # A chunk less, or two in each other's place.
                order = [*range(len(chunks))]
                if draw.integers(2):
                    del order[draw.integers(len(order))]
                else:
                    one, other = draw.integers(len(order), size=2)
                    order[one], order[other] = order[other], order[one]
                yield join_chunks([chunks[at] for at in order])
