import re

import pytest

from headstart.components.compare_variants.comparison_page import duration
from headstart.components.compare_variants.cost_charts import draw_cost_charts, find_front, format_count
from headstart.components.compare_variants.variant_table import VariantRow, VariantTable


def row(name: str, accuracy: float, seconds: float, parameters: int = 1000) -> VariantRow:
    interval = (accuracy - 0.05, accuracy + 0.05)
    return VariantRow(
        name,
        "head",
        "mobilenet_v2",
        96,
        accuracy,
        interval,
        0.3,
        (0.2, 0.4),
        accuracy,
        0.3,
        seconds,
        0,
        0.0,
        parameters,
        None,
    )


def table(*rows: VariantRow) -> VariantTable:
    return VariantTable(["cat", "dog"], "ab", "cd", 100, 100, rows[0].name, 0.95, list(rows), None)


def test_front_has_what_no_cheaper_one_equals() -> None:
    assert find_front([3, 1, 2, 4], [0.9, 0.8, 0.7, 0.9]) == [1, 0]
    assert find_front([1, 1], [0.8, 0.9]) == [1]
    assert find_front([5], [0.1]) == [0]


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (850, "850"), (12_000, "12 k"), (3_400_000, "3.4 M"), (2_500_000_000, "2.5 G")]
)
def test_counts_are_short(number: float, text: str) -> None:
    assert format_count(number) == text


def test_labels_of_neighbours_are_in_different_places() -> None:
    drawing = draw_cost_charts(table(row("first", 0.9, 60), row("second", 0.9, 62)), duration)[0].drawing
    places = [re.search(rf"<text[^>]*?(x=[^>]*|transform=[^>]*)>{name}<", drawing) for name in ("first", "second")]
    assert places[0] and places[1] and places[0][1] != places[1][1]


def test_no_chart_of_costs_that_models_of_earlier_versions_do_not_have() -> None:
    charts = draw_cost_charts(table(row("old", 0.9, 0.0), row("new", 0.8, 5.0, parameters=2000)), duration)
    assert [each.description.partition(",")[0] for each in charts] == ["Accuracy over parameters"]


def test_no_chart_of_costs_that_are_equal() -> None:
    assert draw_cost_charts(table(row("one", 0.9, 60), row("other", 0.8, 60)), duration) == []


def test_ticks_of_a_wide_range_are_few() -> None:
    drawing = draw_cost_charts(table(row("quick", 0.9, 1), row("slow", 0.8, 86_400)), duration)[0].drawing
    ticks = re.findall(r">([0-9.]+ (?:s|min|h))<", drawing)
    assert 2 <= len(ticks) <= 6
