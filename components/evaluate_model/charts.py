"""Charts of the report, as inline SVG in the page's own colours."""

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headstart.components.core.history import Epoch

# Okabe and Ito's colours, which the colour-blind can tell apart too.
_TRAINING = "#e69f00"
_VALIDATION = "#0072b2"
_INK = "#010203"
# Drawn in the first, shown in the second: the charts follow the page from light to dark.
_OF_THE_PAGE = {_INK: "currentColor", _VALIDATION: "rgb(var(--blue))"}

_STYLE = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _INK,
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "headstart",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def curves(epochs: list[Epoch], title: str) -> str:
    """Loss and accuracy of one stage over its epochs, training beside validation.

    Args:
        epochs: At least one.
        title: Of the stage.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        figure.suptitle(title)
        loss, accuracy = figure.subplots(1, 2)
        numbers = [epoch.epoch for epoch in epochs]
        _pair(loss, numbers, [e.loss for e in epochs], [e.validation_loss for e in epochs])
        loss.set_ylabel("loss (nats)")
        _pair(
            accuracy,
            numbers,
            [100 * e.accuracy for e in epochs],
            [100 * e.validation_accuracy for e in epochs],
        )
        accuracy.set_ylabel("accuracy (%)")
        loss.legend(frameon=False)
        return _svg(figure)


def _pair(axes: Axes, numbers: list[int], training: list[float], validation: list[float]) -> None:
    axes.plot(numbers, training, "o", color=_TRAINING, markersize=4, label="training")
    axes.plot(numbers, validation, "-", color=_VALIDATION, linewidth=2, label="validation")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    for drawn, shown in _OF_THE_PAGE.items():
        drawing = drawing.replace(drawn, shown)
    return drawing[drawing.index("<svg") :]
