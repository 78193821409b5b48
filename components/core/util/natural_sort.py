"""Natural sort order of file names: `cat.2.jpg` before `cat.10.jpg`."""

import re
import unicodedata

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> bytes:
    """Sort key that compares runs of digits as numbers and the rest by code points; numbers come before text.

    Example:
        >>> sorted(["cat.10.jpg", "cat.2.jpg"], key=natural_key)
        ['cat.2.jpg', 'cat.10.jpg']
    """
    parts = (_number(part) if part.isdecimal() else b"\1" + _encoded(part) for part in _DIGITS.split(name) if part)
    return b"".join(parts)


def _number(part: str) -> bytes:
    digits = part if part.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in part)
    value = digits.lstrip("0").encode()
    # Without leading zeros, the longer of two numbers is the larger.
    return b"\0" + len(value).to_bytes(4) + value + _encoded(part)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass") + b"\0"
