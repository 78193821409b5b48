"""Text from elsewhere as a terminal, a log or a page can show it."""

import re

_UNSHOWN = re.compile(
    # Control characters, half characters, ends of lines and paragraphs, marks that turn the direction of the rest,
    # the byte order mark, and what Unicode never assigns.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)


def quote_name(name: str) -> str:
    """A name in quotes for a message, as it is but for what cannot be shown."""
    return f"'{escape_unprintable(name)}'"


def escape_unprintable(text: str) -> str:
    r"""Escapes what cannot be shown, or changes how the rest is shown; all else, blanks of any width too, stays.

    Example:
        >>> escape_unprintable("cat\n\u202egpj.exe")
        'cat\\n\\u202egpj.exe'
    """
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
