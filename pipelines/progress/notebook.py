"""Display of a run in a notebook: one block of lines below the cell, which changes in place."""

import io
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

WIDTH = 100
"""Columns of the lines."""

_SECONDS_BETWEEN_DRAWINGS = 0.25
_BLOCK = '<pre style="line-height:1.3;margin:0;font-family:monospace">{code}</pre>'


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, as in Jupyter, VS Code and Colab."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


class NotebookConsole(Console):
    """Console that keeps what is printed to it, for a notebook to show."""

    def __init__(self) -> None:
        super().__init__(
            file=io.StringIO(),
            record=True,
            width=WIDTH,
            force_terminal=True,
            force_jupyter=False,
            color_system="truecolor",
        )

    def kept(self) -> tuple[str, str]:
        """Everything that was printed, as HTML and as text."""
        return (
            self.export_html(clear=False, inline_styles=True, code_format="{code}"),
            self.export_text(clear=False),
        )


class NotebookLines:
    """Lines below a notebook's cell: those that are kept, and below them those that change.

    Args:
        console: Console of the lines that are kept.
        lines: Function that makes the lines that change, given the number of columns.
    """

    def __init__(self, console: NotebookConsole, lines: Callable[[int], Iterable[Text]]) -> None:
        self._console = console
        self._lines = lines
        self._handle: Any = None
        self._changing = False
        self._drawn = 0.0

    def start(self) -> None:
        """Shows the lines from now on."""
        self._changing = True
        self.draw()

    def stop(self) -> None:
        """Leaves the lines that are kept."""
        self._changing = False
        self._draw()

    def draw(self) -> None:
        """Draws the lines anew, unless that was a moment ago."""
        if self._changing and time.monotonic() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import display

        self._drawn = time.monotonic()
        changing = NotebookConsole()
        if self._changing:
            for line in self._lines(WIDTH):
                changing.print(line)
        (kept, kept_text), (changed, changed_text) = self._console.kept(), changing.kept()
        content = {"text/html": _BLOCK.format(code=kept + changed), "text/plain": kept_text + changed_text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
