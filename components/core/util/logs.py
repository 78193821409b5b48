"""Log lines of `key=value` pairs, which a cluster's log viewer can search and the command line can follow."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from headstart.components.core.util.printable import escape_unprintable

T = TypeVar("T")

_LOGGER = logging.getLogger("headstart")
_SECONDS_BETWEEN_PROGRESS_LINES = 1.0
# Other blanks, such as the ideographic space, belong to names.
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_QUOTED = re.compile(r"[\s\"'\\]")


def start_logging() -> None:
    """Sends the log lines of this package to standard error, whatever the root logger does; once is enough."""
    if not _LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _LOGGER.addHandler(handler)
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.propagate = False


def event(name: str, **fields: object) -> None:
    """Logs `event=name key=value …`; text with spaces is quoted, floats keep six significant digits."""
    words = [f"event={name}", *(f"{key}={_format(value)}" for key, value in fields.items())]
    _LOGGER.info(" ".join(words))


def log_phase(name: str) -> None:
    """Logs that a phase of unknown length begins, such as ``reading weights``: progress with a total of 0."""
    log_progress(name, 0, 0)


def log_progress(what: str, done: int, total: int, **fields: object) -> None:
    """Logs the progress of a phase: `event=progress what=… done=… total=… …`.

    Args:
        what: Name of the phase, shown to the user.
        done: Number of units done.
        total: Number of all units; 0: not known.
        fields: Further figures, such as `unit`.
    """
    event("progress", what=what, done=done, total=total, **fields)


def track_progress(
    items: Iterable[T], what: str, total: int, size: Callable[[T], int] = lambda item: 1, unit: str = "images"
) -> Iterator[T]:
    """Passes `items` on, and logs the progress at the start, about once a second, and at the end.

    Args:
        items: Items of work, done one after the other.
        what: Name of the phase, shown to the user.
        total: Size of all items together; 0: unknown.
        size: Size of an item; default: each counts as one.
        unit: Unit of the sizes, in the plural.
    """
    last, done = time.monotonic(), 0
    log_progress(what, done, total, unit=unit)
    for item in items:
        yield item
        done += size(item)
        if done == total or time.monotonic() - last >= _SECONDS_BETWEEN_PROGRESS_LINES:
            last = time.monotonic()
            log_progress(what, done, total, unit=unit)
    if not total:
        log_progress(what, done, total, unit=unit)


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = escape_unprintable(_BLANKS.sub(" ", str(value)).strip(" "))
    if not text or _QUOTED.search(text):
        return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'
    return text
