"""Charts of the report, as inline SVG in the page's own colours."""

import itertools
from collections.abc import Iterator, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headstart.components.core.artifacts.history import Epoch, Step
from headstart.components.core.artifacts.probe import LearningCurve
from headstart.components.core.reports.charts import BLUE, INK, ORANGE, STYLE, Chart, svg
from headstart.components.evaluate_model.ranking import Curve

_TRAINING, _VALIDATION = ORANGE, BLUE
_CLASSES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MOST_CLASSES = len(_CLASSES)
_MOST_POINTS = 200
_SMOOTHING, _SMOOTHED_POINTS = 0.8, 100


def curves(epochs: list[Epoch], title: str) -> list[Chart]:
    """Loss and accuracy of one stage as points and a smoothed line, training beside validation.

    Training is shown step by step, as the weights were at each; validation at the end of each epoch.

    Args:
        epochs: At least one; their steps may be means of several.
        title: Of the stage.
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
            axes.plot(moments, smoothed(training), "-", color=_TRAINING, linewidth=2, label="training")
            axes.plot(passes, smoothed(held_out), "-", color=_VALIDATION, linewidth=2, label="validation")
            axes.set(xlabel="epoch", ylabel=name, title=title)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend(frameon=False)
            words = (
                f"{title}: {name} over {len(epochs)} epochs, training from {means[0]:{digits}} to "
                f"{means[-1]:{digits}}, validation from {held_out[0]:{digits}} to {held_out[-1]:{digits}}"
            )
            charts.append(Chart(svg(figure, f"{title} {name}"), words))
    return charts


def smoothed(values: Sequence[float]) -> list[float]:
    """Exponential moving average, for the eye.

    A curve of 100 points gets the factor 0.8 (F. Chollet, "Deep Learning with Python", 2018, section 5.3); others one
    as strong for their length, so that a short curve does not lag behind its points.
    """
    factor = _SMOOTHING ** (_SMOOTHED_POINTS / len(values))
    return list(itertools.accumulate(values, lambda before, value: factor * before + (1 - factor) * value))


def ranking(roc: Sequence[tuple[str, Curve]], precision_recall: Sequence[tuple[str, Curve]]) -> list[Chart]:
    """ROC and precision-recall curves, one class against the rest.

    Args:
        roc: Each with the name of its class, at most `MOST_CLASSES`: see `ranking.roc`.
        precision_recall: Likewise.
    """
    charts = []
    for title, by_class, x_name, y_name in (
        ("ROC", roc, "false positive rate (%)", "true positive rate (%)"),
        ("Precision and recall", precision_recall, "recall (%)", "precision (%)"),
    ):
        with rc_context(STYLE):
            figure = Figure(figsize=(3.8, 3.4), layout="constrained")
            axes = figure.subplots()
            for (_, (x, y, _)), colour, line in zip(by_class, _CLASSES, _LINES, strict=False):
                axes.plot(*_percent(x, y), color=colour, linestyle=line, linewidth=2, label="class")
            if title == "ROC":
                axes.plot([0, 100], [0, 100], ":", color=INK, linewidth=1, label="chance")
            axes.set(xlabel=x_name, ylabel=y_name, title=title, xlim=(-3, 103), ylim=(-3, 103))
            legend = axes.legend(frameon=False, loc="lower right" if title == "ROC" else "lower left", fontsize=9)
            names = [name for name, _ in by_class]
            for text, name in zip(legend.get_texts(), names, strict=False):
                # As a label, a name that begins with an underscore would be left out.
                text.set_text(name)
            charts.append(Chart(svg(figure, title), f"{title} of {', '.join(names)}: {y_name} over {x_name}"))
    return charts


def reliability(bins: dict[str, list[tuple[float, float, int]]]) -> str:
    """Share right over probability.

    Args:
        bins: By name, at most two: confidence and accuracy, 0 to 1, and images, of the bins that have any.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(3.8, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], ":", color=INK, linewidth=1, label="as it should be")
        for (name, points), colour, mark in zip(bins.items(), (_TRAINING, _VALIDATION), "so", strict=False):
            most = max((images for *_, images in points), default=1)
            x, y = ([100 * point[at] for point in points] for at in (0, 1))
            sizes = [12 + 90 * images / most for *_, images in points]
            axes.plot(x, y, "-", color=colour, linewidth=1)
            axes.scatter(x, y, s=sizes, marker=mark, facecolor=colour, edgecolor="none", label=name)
        axes.set(xlabel="probability of the answer (%)", ylabel="answers that are right (%)", ylim=(-3, 103))
        axes.legend(frameon=False, loc="upper left", fontsize=9)
        return svg(figure, "reliability")


def learning(curve: LearningCurve) -> str:
    """Accuracy over training images, with the band of the draws."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.subplots()
        x = [point.images for point in curve.points]
        low, high = ([100 * point.band[at] for point in curve.points] for at in (0, 1))
        axes.fill_between(x, low, high, color=_VALIDATION, alpha=0.2, linewidth=0, label="95 % of the draws")
        axes.plot(x, [100 * point.accuracy for point in curve.points], "o-", color=_VALIDATION, label="mean")
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{images:,}" for images in x])
        axes.set(xlabel="images learned from", ylabel="accuracy on held-out images (%)")
        axes.legend(frameon=False, loc="lower right")
        return svg(figure, "learning")


def _moments(epoch: Epoch) -> Iterator[tuple[float, Step | Epoch]]:
    """The steps of an epoch, or itself where none are known, with the epochs that have passed."""
    known: Sequence[Step | Epoch] = epoch.steps or [epoch]
    for done, step in enumerate(known, start=1):
        yield epoch.epoch - 1 + done / len(known), step


def _percent(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    every = max(1, len(x) // _MOST_POINTS)
    picked = [*range(0, len(x) - 1, every), len(x) - 1]
    return [100 * x[at] for at in picked], [100 * y[at] for at in picked]
