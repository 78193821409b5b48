"""Training curves: loss and accuracy of a training phase, for the evaluation report and for notebooks."""

import itertools
from collections.abc import Iterator, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headstart.components.core.artifacts.history import Epoch, Step
from headstart.components.core.reports.charts import BLUE, ORANGE, STYLE, Chart, to_svg

_TRAINING, _VALIDATION = ORANGE, BLUE
_SMOOTHING, _SMOOTHED_POINTS = 0.8, 100


def draw_training_curves(epochs: list[Epoch], title: str) -> list[Chart]:
    """Draws loss and accuracy of one phase as points and smoothed lines, for training and validation.

    Training is shown at each step, with the weights of that step; validation at the end of each epoch.

    Args:
        epochs: History of the phase, at least one epoch; its steps may be means of several.
        title: Title of the phase.
    """
    passes = [epoch.epoch for epoch in epochs]
    moments, steps = zip(*(moment for epoch in epochs for moment in _moments(epoch)), strict=True)
    charts = []
    for name, key, unit, digits in (("loss (nats)", "loss", 1, ".3f"), ("accuracy (%)", "accuracy", 100, ".1f")):
        training = [unit * getattr(step, key) for step in steps]
        means = [unit * getattr(epoch, key) for epoch in epochs]
        held_out = [unit * getattr(epoch, f"validation_{key}") for epoch in epochs]
        with rc_context(STYLE):
            figure = Figure(figsize=(3.8, 2.6), layout="constrained")
            axes = figure.subplots()
            axes.plot(moments, training, "o", color=_TRAINING, markersize=2.5, alpha=0.5, markeredgewidth=0)
            axes.plot(passes, held_out, "o", color=_VALIDATION, markersize=4, markeredgewidth=0)
            axes.plot(moments, smooth(training), "-", color=_TRAINING, linewidth=2, label="training")
            axes.plot(passes, smooth(held_out), "-", color=_VALIDATION, linewidth=2, label="validation")
            axes.set(xlabel="epoch", ylabel=name, title=title)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend(frameon=False)
            description = (
                f"{title}: {name} over {len(epochs)} epochs, training from {means[0]:{digits}} to "
                f"{means[-1]:{digits}}, validation from {held_out[0]:{digits}} to {held_out[-1]:{digits}}"
            )
            charts.append(Chart(to_svg(figure, f"{title} {name}"), description))
    return charts


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average of a curve.

    A curve of 100 points gets the factor 0.8 (F. Chollet, "Deep Learning with Python", 2018, section 5.3). Others get
    one of equal strength for their length, so that a short curve does not lag behind its points.
    """
    factor = _SMOOTHING ** (_SMOOTHED_POINTS / len(values))
    return list(itertools.accumulate(values, lambda before, value: factor * before + (1 - factor) * value))


def _moments(epoch: Epoch) -> Iterator[tuple[float, Step | Epoch]]:
    """The steps of an epoch, or the epoch itself if it has none, with the epochs completed by then."""
    known: Sequence[Step | Epoch] = epoch.steps or [epoch]
    for done, step in enumerate(known, start=1):
        yield epoch.epoch - 1 + done / len(known), step
