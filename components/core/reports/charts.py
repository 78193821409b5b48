"""Inline SVG charts in the colours of the page."""

import dataclasses
import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure

# Colours of Okabe and Ito, which the colour-blind can tell apart.
ORANGE = "#e69f00"
BLUE = "#0072b2"
INK = "#010203"
# Replaced in the drawing, so that charts follow the page from light to dark.
_PAGE_COLOURS = {INK: "currentColor", BLUE: "rgb(var(--blue))"}

STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "text.color": INK,
    # A class may be named $100.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing with its description for screen readers.

    Attributes:
        drawing: Inline SVG.
        description: Content of the drawing in words.
    """

    drawing: str
    description: str


def to_svg(figure: Figure, name: str) -> str:
    """Draws a figure as inline SVG.

    Args:
        figure: Figure to draw.
        name: Name that no other chart of the page has; the identifiers in the SVG are derived from it.
    """
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    # Only inside tags: a class may be named #010203.
    return re.sub(r"<[^>]*>", _replace_colours, drawing[drawing.index("<svg") :])


def _replace_colours(tag: re.Match[str]) -> str:
    text = tag[0]
    for drawn, shown in _PAGE_COLOURS.items():
        text = text.replace(drawn, shown)
    return text
