"""Forms of image files: the properties that change how a decoder reads them, taken from the header."""

import struct

_COLOURS_OF_PNG = {0: "gray", 2: "RGB", 3: "palette", 4: "gray and alpha", 6: "RGBA"}
_COLOURS_OF_JPEG = {1: "gray", 3: "colour", 4: "CMYK"}
_ARITHMETIC = range(0xC9, 0xD0)
_PROGRESSIVE = (0xC2, 0xCA)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_CODINGS_OF_BMP = {1: "run lengths", 2: "run lengths", 3: "masks"}
_GIF_EXTENSION, _GIF_CONTROL = b"!", 0xF9
_SHORTEST = 34
_ANIMATED, _ALPHA, _EXIF = 0x02, 0x10, 0x08


def file_form(content: bytes) -> str:
    """Names the form of an image file, such as ``PNG palette 2 transparent``.

    For JPEG, PNG, GIF, BMP and WebP the name says more than the format; unknown files are ``other``.

    Args:
        content: Bytes of a file that a decoder has read; for other files the name is meaningless.
    """
    if len(content) < _SHORTEST:
        return "other"
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if content.startswith(b"\x89PNG"):
        return _png(content)
    if content.startswith(b"GIF8"):
        return _gif(content)
    if content.startswith(b"BM"):
        bits = content[24] if content[14] == 12 else content[28]
        coding = 0 if content[14] == 12 else content[30]
        return _join_words("BMP", str(bits), _CODINGS_OF_BMP.get(coding, ""))
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        flags = content[20] if content[12:16] == b"VP8X" else 0
        lossless = b"VP8L" in (content[12:16], content[30:34])
        words = [("animated", flags & _ANIMATED), ("transparent", flags & _ALPHA), ("EXIF", flags & _EXIF)]
        return _join_words("WebP", "lossless" if lossless else "", *(word for word, has in words if has))
    if content.startswith((b"II", b"MM")):
        return "TIFF"
    return content[8:12].decode("ascii", "replace").strip().upper() if content[4:8] == b"ftyp" else "other"


def _join_words(*words: str) -> str:
    return " ".join(filter(None, words))


def _jpeg(content: bytes) -> str:
    at, exif, colours, coding = 2, "", "", ""
    while at + 10 <= len(content) and content[at] == 0xFF and content[at + 1] != _START_OF_SCAN:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            colours = _COLOURS_OF_JPEG.get(content[at + 9], "")
            coding = "progressive" if marker in _PROGRESSIVE else ""
            coding = _join_words(coding, "arithmetic" if marker in _ARITHMETIC else "")
        if marker == _APP1 and content[at + 4 : at + 10] == b"Exif\0\0":
            exif = "EXIF"
        at += 1 if marker == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4])
    return _join_words("JPEG", colours, coding, exif)


def _png(content: bytes) -> str:
    words = dict.fromkeys([b"tRNS", b"acTL", b"eXIf", b"sBIT"], "")
    at = 8
    while at + 12 <= len(content) and content[at + 4 : at + 8] != b"IDAT":
        name = content[at + 4 : at + 8]
        if name in words:
            words[name] = {b"tRNS": "transparent", b"acTL": "animated", b"eXIf": "EXIF", b"sBIT": "sBIT"}[name]
        at += 12 + int.from_bytes(content[at : at + 4])
    colours = _COLOURS_OF_PNG.get(content[25], "")
    return _join_words("PNG", colours, str(content[24]), "interlaced" if content[28] else "", *words.values())


def _gif(content: bytes) -> str:
    flags = content[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    transparent = False
    while content[at : at + 1] == _GIF_EXTENSION and at + 4 < len(content):
        transparent = transparent or (content[at + 1] == _GIF_CONTROL and bool(content[at + 3] & 1))
        at += 2
        while at < len(content) and content[at]:
            at += content[at] + 1
        at += 1
    screen = struct.unpack("<HH", content[6:10])
    frame = struct.unpack("<HHHH", content[at + 1 : at + 9]) if at + 9 <= len(content) else (0, 0, *screen)
    part = "" if frame == (0, 0, *screen) else "part of the canvas"
    return _join_words("GIF", "transparent" if transparent else "", part)
