"""Charts of the evaluation report."""

import itertools
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headstart.components.core.artifacts.probe import LearningCurve
from headstart.components.core.metrics.statistics import Interval
from headstart.components.core.reports.charts import BLUE, INK, ORANGE, STYLE, Chart, to_svg
from headstart.components.evaluate_model.ranking import Curve

_CLASSES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MAX_CLASSES = len(_CLASSES)
_MAX_POINTS = 200


def draw_ranking_curves(
    roc: Sequence[tuple[str, Curve]], precision_recall: Sequence[tuple[str, Curve]]
) -> list[Chart]:
    """Draws ROC and precision-recall curves, one class against the rest.

    Args:
        roc: ROC curves with the names of their classes, at most `MAX_CLASSES`, see `ranking.roc`.
        precision_recall: Precision-recall curves of the same classes, see `ranking.precision_recall`.
    """
    charts = []
    for title, by_class, x_name, y_name in (
        ("ROC", roc, "false positive rate (%)", "true positive rate (%)"),
        ("Precision-recall", precision_recall, "recall (%)", "precision (%)"),
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
                # Matplotlib leaves out labels that begin with an underscore.
                text.set_text(name)
            charts.append(Chart(to_svg(figure, title), f"{title} of {', '.join(names)}: {y_name} over {x_name}"))
    return charts


def draw_reliability_diagram(bins: dict[str, list[tuple[float, float, Interval, int]]]) -> str:
    """Draws accuracy with its interval over predicted probability.

    Args:
        bins: At most two series by name: confidence, accuracy and its interval, 0 to 1, and images of each bin with
            images.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(3.8, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], ":", color=INK, linewidth=1, label="perfect calibration")
        least = 100.0
        for (name, points), colour, mark in zip(bins.items(), (ORANGE, BLUE), "so", strict=False):
            most = max((images for *_, images in points), default=1)
            x = [100 * confidence for confidence, *_ in points]
            y = [100 * accuracy for _, accuracy, *_ in points]
            low, high = ([100 * interval[at] for _, _, interval, _ in points] for at in (0, 1))
            below, above = ([abs(one - other) for one, other in zip(y, ends, strict=True)] for ends in (low, high))
            axes.errorbar(x, y, (below, above), fmt="none", ecolor=colour, elinewidth=1, alpha=0.6)
            sizes = [8 + 20 * images / most for *_, images in points]
            axes.plot(x, y, "-", color=colour, linewidth=1)
            axes.scatter(x, y, s=sizes, marker=mark, facecolor=colour, edgecolor="none", label=name)
            least = min(least, *x, *low)
        margin = 0.03 * (100 - least) + 0.3
        axes.set(xlim=(least - margin, 100 + margin), ylim=(least - margin, 100 + margin))
        axes.set(xlabel="predicted probability (%)", ylabel="accuracy (%)")
        axes.legend(frameon=False, loc="best", fontsize=9)
        return to_svg(figure, "reliability")


def draw_confidence_histogram(bins: Sequence[tuple[float, float, int, int]]) -> Chart:
    """Draws the confidence histogram, wrong predictions stacked on correct ones.

    Args:
        bins: Lower and upper edge, 0 to 1, and the number of correct and of wrong predictions of each bin.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.subplots()
        left, right, correct, wrong = (list(column) for column in zip(*bins, strict=True))
        widths = [92 * (high - low) for low, high in zip(left, right, strict=True)]
        edges = [100 * low for low in left]
        axes.bar(edges, correct, widths, align="edge", color=BLUE, label="correct")
        axes.bar(edges, wrong, widths, bottom=correct, align="edge", color=ORANGE, label="wrong")
        axes.set(xlabel="probability of the predicted class (%)", ylabel="test images", xlim=(edges[0], 100))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, loc="upper left")
        median = _weighted_median(bins)
        description = (
            f"Histogram of the probability of the predicted class: {sum(correct):,} correct and {sum(wrong):,} wrong "
            f"predictions; half of them lie above about {100 * median:.0f} %"
        )
        return Chart(to_svg(figure, "confidence"), description)


def draw_learning_curve(curve: LearningCurve) -> str:
    """Draws accuracy over the number of training images, with the band of the random splits."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.subplots()
        x = [point.images for point in curve.points]
        low, high = ([100 * point.band[at] for point in curve.points] for at in (0, 1))
        axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 % of the splits")
        axes.plot(x, [100 * point.accuracy for point in curve.points], "o-", color=BLUE, label="mean")
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{images:,}" for images in x])
        axes.set(xlabel="training images", ylabel="accuracy on held-out images (%)")
        axes.legend(frameon=False, loc="lower right")
        return to_svg(figure, "learning")


def _weighted_median(bins: Sequence[tuple[float, float, int, int]]) -> float:
    """Lower edge of the bin with the median prediction."""
    counts = list(itertools.accumulate(correct + wrong for *_, correct, wrong in bins))
    return next(low for (low, *_), below in zip(bins, counts, strict=True) if 2 * below >= counts[-1])


def _percent(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    every = max(1, len(x) // _MAX_POINTS)
    picked = [*range(0, len(x) - 1, every), len(x) - 1]
    return [100 * x[at] for at in picked], [100 * y[at] for at in picked]
