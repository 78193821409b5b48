"""Errors in the options of a command, one line and exit status 2, and values that several commands read."""

import contextlib
import re
from collections.abc import Iterator

from headstart.components.core.util.errors import HeadstartError

EXIT_STATUS = 2

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")


class UsageError(HeadstartError):
    """An error in the options of a command, found before it reads any data."""


@contextlib.contextmanager
def check_options() -> Iterator[None]:
    """Turns any error that the user can fix, raised in the block, into one in the options.

    Raises:
        UsageError: If there is a `HeadstartError` in the block.
    """
    try:
        yield
    except HeadstartError as error:
        raise UsageError(str(error)) from None


def parse_duration(option: str, text: str) -> float:
    """Reads a duration such as ``90s``, ``10m`` or ``1h``; returns seconds.

    Raises:
        HeadstartError: If it is none, or 0.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise HeadstartError(f"{option} {text!r}: give a time such as 90s, 10m or 1h")
    return float(found[1]) * _SECONDS[found[2]]
