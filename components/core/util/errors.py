"""The error for whatever the user can act on."""

import re
from typing import NoReturn

from headstart.components.core.util.printable import escape_unprintable

# Other blanks, such as the ideographic space, belong to names.
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")


class HeadstartError(Exception):
    """An error that the user can act on, in one line: the value, the file, and the way out.

    Any other exception that leaves a step is a defect of this package, and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escape_unprintable(_BLANKS.sub(" ", message).strip(" ")))

    def _render_traceback_(self) -> list[str]:
        """Lines that a notebook shows: the message and its notes, without the lines of code that led to it."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", ())]


class Unavailable(HeadstartError):
    """A store that does not answer, or a disk that is full: the same may succeed at another time, or elsewhere."""


def raise_unknown_name(kind: str, name: str, known: list[str]) -> NoReturn:
    """Refuses an unknown name, and lists the known ones.

    Args:
        kind: Kind of name, such as ``backbone``.
        name: Unknown name.
        known: Known names, in the order in which they are shown.

    Raises:
        HeadstartError: Always.
    """
    raise HeadstartError(f"unknown {kind} {name!r}; known: {', '.join(known)}")


def first_line(error: Exception) -> str:
    """First line of a library's error, at most 200 characters; the name of its type if it has no message."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
