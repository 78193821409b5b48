"""A terminal that the display of a run draws on, through a pty, and whose screen can be read."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
from collections.abc import Iterator

import pyte
from rich.console import Console

ROWS = 50


class Terminal:
    """A terminal emulator at the other end of a pty.

    Args:
        master: Descriptor of the pty's master.
        console: Console that writes to the pty.
        width: Columns.
    """

    def __init__(self, master: int, console: Console, width: int) -> None:
        self.console = console
        self._master = master
        self._screen = pyte.Screen(width, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    def read(self) -> list[str]:
        """Lines of the screen without blanks at their ends, after all that was written."""
        while select.select([self._master], [], [], 0)[0]:
            self._stream.feed(os.read(self._master, 65536))
        lines = [line.rstrip() for line in self._screen.display]
        return [line for line in lines if line]


@contextlib.contextmanager
def open_terminal(width: int, encoding: str = "utf-8") -> Iterator[Terminal]:
    """Opens a terminal of some columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, width, 0, 0))
    try:
        with os.fdopen(slave, "w", encoding=encoding, errors="replace") as file:
            yield Terminal(master, Console(file=file, width=width, force_terminal=True, legacy_windows=False), width)
    finally:
        os.close(master)
