"""Text of unknown origin, made safe to show on a terminal, in a log or on a page."""

import re
from collections.abc import Sequence

_UNPRINTABLE = re.compile(
    # Control characters, surrogates, line and paragraph separators, marks that change the direction of the text,
    # the byte order mark, and code points that Unicode never assigns.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)


def quote_name(name: str) -> str:
    """Puts a name in quotes for a message; unprintable characters are escaped."""
    return f"'{escape_unprintable(name)}'"


def escape_unprintable(text: str) -> str:
    r"""Escapes characters that cannot be shown, or that change how the rest is shown; blanks of any width stay.

    Example:
        >>> escape_unprintable("cat\n\u202egpj.exe")
        'cat\\n\\u202egpj.exe'
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def pluralize(noun: str, number: int) -> str:
    """An English noun, in the plural unless there is one of it.

    Args:
        noun: Regular noun in the singular.
        number: Number of things.

    Example:
        >>> pluralize("patient", 12), pluralize("body", 2), pluralize("group", 1)
        ('patients', 'bodies', 'group')
    """
    if number == 1:
        return noun
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def describe_groups(groups: int | None, unit: str) -> str:
    """A clause that follows a number of images, and tells of how many groups they are.

    Args:
        groups: Number of groups; None: the user names no groups, and the clause is empty.
        unit: Word for a group.

    Example:
        >>> describe_groups(12, "patient"), describe_groups(None, "")
        (' of 12 patients', '')
    """
    return "" if groups is None else f" of {groups:,} {pluralize(unit, groups)}"


def list_first(names: Sequence[str], most: int) -> str:
    """Lists the first few names, and counts the others.

    Args:
        names: Names, ready to show.
        most: Most names to list.

    Example:
        >>> list_first(["cat", "dog", "fox"], 2)
        'cat, dog and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
