"""Names of a zip archive's members, which many programs write without saying in which encoding.

The format knows two encodings: UTF-8, marked by a flag, and the code page of the first IBM PC (437), which Python
assumes for all other names. Windows packs with the code page of its country, and macOS with UTF-8 without the flag.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Sequence

import charset_normalizer

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075
_NO_FLAG = "cp437"
# First and last lead byte of characters in daily use; of equal scores the earlier encoding is taken.
_WIDE = {"gbk": (0xB0, 0xD7), "cp932": (0x88, 0x97), "cp949": (0xB0, 0xC8), "big5": (0xA4, 0xC6)}
_NARROW = ("cp866", "cp1251", "cp850", "cp437", "cp1252", "cp852", "cp1250", "cp1253", "cp737", "cp1255", "cp862")
_NARROW_AT_BEST = 0.9
_RARE = 0.3
_MARGIN = 0.15
_MANY = 6
# Nobody packs names in these, but short words look like them by chance.
_NEVER = ("utf_16", "utf_32", "utf_7", "mac_", "cp1006", "johab")
_SUGGESTIONS = 8
_SAMPLE = 2000


def decode_names(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """Decodes the names of an archive's members.

    Args:
        infos: Members as the library lists them.

    Returns:
        A name for each member, and a remark on the encoding; empty where the encoding is certain.
    """
    names = [_certain_name(info) for info in infos]
    raw = [info.orig_filename.encode(_NO_FLAG) for info, name in zip(infos, names, strict=True) if name is None]
    encoding, note = _guess_encoding(each for each in raw if not each.isascii())
    uncertain = (_until_nul(each.decode(encoding, "surrogateescape")) for each in raw)
    return [next(uncertain) if name is None else name for name in names], note


def _certain_name(info: zipfile.ZipInfo) -> str | None:
    """A member's name where the archive gives its encoding, or it is ASCII."""
    if info.flag_bits & _UTF8_FLAG:
        return info.filename
    return _unicode_path(info) or (info.filename if info.orig_filename.isascii() else None)


def _unicode_path(info: zipfile.ZipInfo) -> str:
    """The name in UTF-8 that Info-ZIP stores beside the other; empty: there is none, or it is of another name."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (checksum,) = struct.unpack_from("<L", field, 1)
            if checksum == zlib.crc32(info.orig_filename.encode(_NO_FLAG)):
                return _until_nul(field[5:].decode("utf-8", "replace"))
    return ""


def _until_nul(name: str) -> str:
    """A name up to its first NUL, as the library returns names."""
    return name.partition("\0")[0]


def _guess_encoding(names: Iterable[bytes]) -> tuple[str, str]:
    """The encoding of names that are not ASCII, and a remark on it where it is not certain."""
    words = list(dict.fromkeys(part for name in names for part in name.split(b"/") if not part.isascii()))[:_SAMPLE]
    if not words:
        return _NO_FLAG, ""
    sample = b"\n".join(words)
    if _decode(sample, "utf-8"):
        return "utf-8", ""
    suggested = [each.encoding for each in charset_normalizer.from_bytes(sample)][:_SUGGESTIONS]
    suggested = [each for each in suggested if not each.startswith(_NEVER)]
    texts = {each: _decode(sample, each) for each in dict.fromkeys([*_WIDE, *_NARROW, *suggested])}
    scores = {encoding: _score(text, encoding) for encoding, text in texts.items() if text}
    ranked = sorted(scores, key=lambda each: -scores[each])
    if not ranked:
        return "utf-8", "the archive does not give the encoding of its names, and it could not be guessed"
    best = ranked[0]
    others = [each for each in ranked[1:] if texts[each] != texts[best] and scores[best] - scores[each] < _MARGIN]
    doubt = f", which is doubtful: they may be {' or '.join(others[:2])}" if others else ""
    way_out = "; if they are wrong, unpack it and pass the folder, or pack it with names in UTF-8"
    return best, f"the archive does not give the encoding of its names; read as {best}{doubt}{way_out}"


def _decode(sample: bytes, encoding: str) -> str:
    """The sample in an encoding; empty where it cannot be decoded, or gives characters that no name has."""
    try:
        text = sample.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return ""
    return "" if any(unicodedata.category(each) in ("Cc", "Co", "Cn") for each in text if each != "\n") else text


def _score(text: str, encoding: str) -> float:
    """Plausibility of a text as words: 1 where each letter is in daily use."""
    places = [place for place, letter in enumerate(text) if not letter.isascii()]
    if not places:
        return 0.0
    if encoding not in _WIDE:
        return sum(_narrow_score(text, place) for place in places) / len(places)
    score = sum(_wide_score(text[place], encoding) for place in places) / len(places)
    # All Korean characters are also Chinese ones in daily use, while few Chinese texts look Korean by chance.
    korean = encoding == "cp949" and len({text[place] for place in places} - {"\u3000"}) >= _MANY
    return score + (_MARGIN / 2 if korean and score > 1 - _MARGIN else 0)


def _wide_score(letter: str, encoding: str) -> float:
    first, last = _WIDE[encoding]
    lead = letter.encode(encoding)
    kana = encoding == "cp932" and "\u3041" <= letter <= "\u30fe"
    daily = len(lead) == 2 and first <= lead[0] <= last and (encoding in ("cp932", "big5") or lead[1] >= 0xA1)
    return 1.0 if kana or daily else 0.8 if letter == "\u3000" else _RARE


def _narrow_score(text: str, place: int) -> float:
    """Plausibility of a letter: high among letters of its own script, low for a capital after a small letter."""
    letter = text[place]
    if not letter.isalpha():
        return 0.0
    before, after = text[place - 1] if place else "\n", text[place + 1 : place + 2] or "\n"
    near = [each for each in (before, after) if each.isalpha()]
    if letter.isupper() and before.isalpha():
        return _RARE if before.islower() else 2 * _RARE
    if any(_script(each) != _script(letter) for each in near):
        return _RARE
    return _NARROW_AT_BEST if near else _RARE


def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").split()[0]
