"""What charts share: inline SVG in the page's own colours."""

import dataclasses
import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart too.
ORANGE = "#e69f00"
BLUE = "#0072b2"
INK = "#010203"
# Drawn in the first, shown in the second: the charts follow the page from light to dark.
_OF_THE_PAGE = {INK: "currentColor", BLUE: "rgb(var(--blue))"}

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
    # A class may be called $100.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing, and what it shows in words."""

    drawing: str
    words: str


def svg(figure: Figure, name: str) -> str:
    """The drawing of a figure, for a page; `name` is unlike that of its other charts."""
    buffer = io.StringIO()
    # Of several charts on a page each needs identifiers of its own.
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    # A class may be called #010203: what stands between tags is text.
    return re.sub(r"<[^>]*>", _in_colours_of_the_page, drawing[drawing.index("<svg") :])


def _in_colours_of_the_page(tag: re.Match[str]) -> str:
    text = tag[0]
    for drawn, shown in _OF_THE_PAGE.items():
        text = text.replace(drawn, shown)
    return text
