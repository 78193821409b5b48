"""Errors in the options of a command: one line, and exit status 2."""

import contextlib
from collections.abc import Iterator

from headstart.components.core.util.errors import HeadstartError

EXIT_STATUS = 2


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
