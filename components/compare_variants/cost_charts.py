"""Charts of accuracy over cost, one point per variant."""

import math
from collections.abc import Callable, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from headstart.components.compare_variants.variant_table import VariantRow, VariantTable
from headstart.components.core.reports.charts import BLUE, INK, ORANGE, STYLE, Chart, to_svg
from headstart.components.core.reports.page import shown

_SECONDS = [
    unit * number
    for unit, numbers in ((1, (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)), (60, (1, 2, 5, 10, 20, 30)))
    for number in numbers
] + [3600 * number for number in (1, 2, 5, 10, 24, 48, 120, 240)]
_PARAMETERS = [number * 10**power for power in range(2, 11) for number in (1, 2, 5)]
_MAX_TICKS = 6
# Costs that differ less are equal for all practical purposes.
_LEAST_RATIO = 1.02
# Room left of the cheapest variant, as a factor of the cost.
_MARGIN = 1.4
# Sizes of labels in points, and of a letter and a line as factors of the font size.
_FONT_SIZE, _LETTER_WIDTH, _LINE_HEIGHT = 9.0, 0.56, 1.25
_WIDTH, _HEIGHT = 4.4, 3.2
# About the size of the axes within the figure, in points.
_AXES_WIDTH, _AXES_HEIGHT = 0.8 * 72 * _WIDTH, 0.78 * 72 * _HEIGHT
_LONGEST_LABEL = 24
_GAP = 8.0

_Box = tuple[float, float, float, float]
"""Left, bottom, right and top of a rectangle, in points."""


def draw_cost_charts(table: VariantTable, duration: Callable[[float], str]) -> list[Chart]:
    """Draws accuracy over training time and over parameters, on logarithmic axes.

    The line joins the variants that no cheaper one equals in accuracy. Costs that are equal for all variants, or not
    known for one of an earlier version, have no chart.

    Args:
        table: Metrics and costs of all variants.
        duration: Function that formats seconds.
    """
    costs: list[tuple[str, Callable[[VariantRow], float], list[float], Callable[[float], str]]] = [
        ("training time", lambda row: row.seconds, _SECONDS, duration),
        ("parameters", lambda row: row.parameters, _PARAMETERS, format_count),
    ]
    return [
        _draw(table, name, [cost(row) for row in table.rows], ticks, describe)
        for name, cost, ticks, describe in costs
        if _is_drawn([cost(row) for row in table.rows])
    ]


def format_count(number: float) -> str:
    """A count in the unit that suits it: `850`, `12 k`, `3.4 M`.

    Args:
        number: Count, at least 1.
    """
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {letter}"
    return f"{number:.0f}"


def find_front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Indices of the variants that no cheaper or equally cheap one equals in accuracy, the cheapest first.

    Args:
        costs: Cost of each variant.
        accuracies: Accuracy of each variant.
    """
    front: list[int] = []
    for at in sorted(range(len(costs)), key=lambda at: (costs[at], -accuracies[at])):
        if not front or accuracies[at] > accuracies[front[-1]]:
            front.append(at)
    return front


def _is_drawn(costs: Sequence[float]) -> bool:
    return min(costs) > 0 and max(costs) > _LEAST_RATIO * min(costs)


def _draw(
    table: VariantTable,
    name: str,
    costs: Sequence[float],
    ticks: Sequence[float],
    describe: Callable[[float], str],
) -> Chart:
    rows = table.rows
    accuracies = [100 * row.accuracy for row in rows]
    names = [shown(row.name, _LONGEST_LABEL) for row in rows]
    # Room for a label to the right of each point.
    label = (_GAP + _LETTER_WIDTH * _FONT_SIZE * max(map(len, names))) / _AXES_WIDTH
    range_of_costs = max(math.log(_MARGIN), math.log(max(costs) / min(costs)))
    low, high = min(costs) / _MARGIN, max(costs) * math.exp(range_of_costs * label / (1 - label))
    bottom = 100 * min(row.accuracy_interval[0] for row in rows)
    top = 100 * max(row.accuracy_interval[1] for row in rows)
    space = 0.08 * (top - bottom) or 1.0
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        front = find_front(costs, accuracies)
        axes.plot(
            [costs[at] for at in front], [accuracies[at] for at in front], ":", color=INK, linewidth=1, zorder=1
        )
        for row, cost, accuracy in zip(rows, costs, accuracies, strict=True):
            colour = BLUE if row.name == table.chosen else ORANGE
            ends = [100 * bound for bound in row.accuracy_interval]
            axes.plot([cost, cost], ends, "-", color=colour, linewidth=1.5)
            axes.plot(cost, accuracy, "s" if row.name == table.chosen else "o", color=colour, markersize=6)
        axes.set(
            xscale="log", xlabel=name, ylabel="accuracy (%)", xlim=(low, high), ylim=(bottom - space, top + space)
        )
        axes.xaxis.set_major_locator(FixedLocator(_choose_ticks(ticks, low, high)))
        axes.xaxis.set_major_formatter(lambda cost, _: describe(cost))
        axes.xaxis.set_minor_locator(NullLocator())
        _label_points(
            axes,
            names,
            [(cost, accuracy) for cost, accuracy in zip(costs, accuracies, strict=True)],
            [(100 * row.accuracy_interval[0], 100 * row.accuracy_interval[1]) for row in rows],
        )
        points = ", ".join(
            f"{row.name} {describe(cost)} and {accuracy:.1f} %"
            for row, cost, accuracy in zip(rows, costs, accuracies, strict=True)
        )
        description = f"Accuracy over {name}, with 95 % intervals: {points}. The table has the figures."
        return Chart(to_svg(figure, f"accuracy over {name}"), description)


def _choose_ticks(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Ticks in a range, thinned out where they are too many."""
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside[:: math.ceil(len(inside) / _MAX_TICKS)] if inside else [math.sqrt(low * high)]


def _label_points(
    axes: Axes,
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    intervals: Sequence[tuple[float, float]],
) -> None:
    """Writes each name beside its point, in the place where it covers least of other names, points and intervals."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()

    def up(accuracy: float) -> float:
        return _AXES_HEIGHT * (accuracy - bottom) / (top - bottom)

    centres = [
        (_AXES_WIDTH * math.log(cost / left) / math.log(right / left), up(accuracy)) for cost, accuracy in points
    ]
    taken: list[_Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in centres]
    taken += [(x - 2, up(low), x + 2, up(high)) for (x, _), (low, high) in zip(centres, intervals, strict=True)]
    for name, point, (x, y) in zip(names, points, centres, strict=True):
        long, tall = _LETTER_WIDTH * _FONT_SIZE * len(name), _LINE_HEIGHT * _FONT_SIZE
        choices = [(dx, dy) for dy in (-9.0, 9.0, 0.0, -20.0, 20.0) for dx in (_GAP, -_GAP)]
        boxes: list[_Box] = []
        for dx, dy in choices:
            start = x + dx if dx > 0 else x + dx - long
            boxes.append((start, y + dy - tall / 2, start + long, y + dy + tall / 2))
        hidden = [_hidden_area(box, taken) for box in boxes]
        best = hidden.index(min(hidden))
        dx, dy = choices[best]
        taken.append(boxes[best])
        axes.annotate(
            name,
            point,
            (dx, dy),
            textcoords="offset points",
            ha="left" if dx > 0 else "right",
            va="center",
            fontsize=_FONT_SIZE,
        )


def _hidden_area(box: _Box, taken: Sequence[_Box]) -> float:
    """Area of a label that others cover or that lies outside the axes."""
    left, bottom, right, top = box
    covered = sum(_overlap(box, other) for other in taken)
    return covered + (right - left) * (top - bottom) - _overlap(box, (0.0, 0.0, _AXES_WIDTH, _AXES_HEIGHT))


def _overlap(one: _Box, other: _Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)
