"""The one error that is meant for the user's eyes."""

import re
from typing import NoReturn

from headstart.components.core.util.printable import escape_unprintable

# Other blanks, such as the wide one of Japanese, belong to a name.
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")


class HeadstartError(Exception):
    """Something the user can act on, in one line: the value, the file, and the way out.

    Every other exception that leaves a step is a defect of ours and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escape_unprintable(_BLANKS.sub(" ", message).strip(" ")))


def raise_unknown_name(kind: str, name: str, known: list[str]) -> NoReturn:
    """Refuses a name that is in no table, and lists the names that are.

    Args:
        kind: What the name stands for, such as ``backbone``.
        name: The name that was given.
        known: The names one can give, in the order to show them.

    Raises:
        HeadstartError: Always.
    """
    raise HeadstartError(f"unknown {kind} {name!r}; known: {', '.join(known)}")


def first_line(error: Exception) -> str:
    """The beginning of what a library says of an error, or the error's name where it says nothing."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
