"""HTML page of the table of variants."""

import math

from headstart.components.compare_variants.cost_charts import draw_cost_charts
from headstart.components.compare_variants.variant_table import VariantRow, VariantTable
from headstart.components.core.metrics.comparison import BETTER, CANNOT_TELL, WORSE
from headstart.components.core.reports import page
from headstart.components.core.util.printable import describe_groups

METHOD_TITLES = {"from_scratch": "from scratch", "head": "head alone", "fine_tuned": "fine-tuned"}

_ROUNDING = 1e-9


def render_comparison(table: VariantTable, data: str = "", command: str = "", date: str = "", run: str = "") -> str:
    """Renders the comparison page.

    Args:
        table: Metrics and costs of all variants.
        data: Classes with their counts and their source, in words; empty: not known.
        command: Command that started the run; empty: not known.
        date: Time of the comparison, ISO 8601 in UTC; empty: not known.
        run: The run in words; empty: not known.
    """
    chosen = next(row for row in table.rows if row.name == table.chosen)
    return page.render(
        __package__,
        "comparison.html.j2",
        page.PageHeader("Comparison of variants", date, data, _backbones(table), run),
        table=table,
        chosen=chosen,
        others=[row for row in table.rows if row.difference],
        verdict=_verdict(table),
        cheaper=_cheaper(table, chosen),
        of_groups=describe_groups(table.groups, table.grouping),
        unit=table.grouping,
        low=_low(table),
        reach=_reach(table),
        accelerators=any(row.accelerators for row in table.rows),
        methods=METHOD_TITLES,
        duration=duration,
        charts=draw_cost_charts(table, duration),
        command=command,
    )


def duration(seconds: float) -> str:
    """A duration in the unit that suits it: `4.5 s`, `52 s`, `1.5 min`, `1.0 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 60 else f"{minutes / 60:.1f} h"


def _backbones(table: VariantTable) -> str:
    sizes: dict[str, set[int]] = {}
    for row in table.rows:
        sizes.setdefault(row.backbone, set()).add(row.image_size)
    return "; ".join(page.describe_backbone(name, size) for name, found in sizes.items() for size in sorted(found))


def _verdict(table: VariantTable) -> str:
    """Verdicts on the other variants in a sentence."""
    named = {
        verdict: [row.name for row in table.rows if row.difference and row.difference.verdict == verdict]
        for verdict in (BETTER, WORSE, CANNOT_TELL)
    }
    clauses = []
    if named[WORSE]:
        clauses.append(f"it is better than {_and(named[WORSE])}")
    if named[BETTER]:
        clauses.append(f"{_and(named[BETTER])} {_are(named[BETTER])} better than it")
    if named[CANNOT_TELL]:
        clauses.append(
            f"whether {_and(named[CANNOT_TELL])} {_are(named[CANNOT_TELL])} better or worse cannot be told"
        )
    return f"On the test images, which are not used for the choice, {'; '.join(clauses)}."


def _cheaper(table: VariantTable, chosen: VariantRow) -> str:
    """Names the fastest to train of the variants not shown to be worse; empty if that is the chosen one."""
    equals = [row for row in table.rows if row.difference is None or row.difference.verdict != WORSE]
    fastest = min(equals, key=lambda row: row.seconds)
    if fastest is chosen:
        return ""
    return (
        f"Of those not shown to be worse, {fastest.name} trained fastest: {duration(fastest.seconds)} against "
        f"{duration(chosen.seconds)}."
    )


def _low(table: VariantTable) -> float:
    """Lower end of the scale of accuracies, high enough to tell those of good models apart."""
    return math.floor(10 * min(row.accuracy_interval[0] for row in table.rows) + _ROUNDING) / 10


def _reach(table: VariantTable) -> float:
    """Upper end of the symmetric scale of differences."""
    bounds = [bound for row in table.rows if row.difference for bound in row.difference.accuracy_interval]
    return math.ceil(100 * max(0.01, *map(abs, bounds)) - _ROUNDING) / 100


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
