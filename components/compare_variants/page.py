"""The page that shows the table: one HTML file that needs no network."""

import math

from headstart.components.compare_variants.table import Row, Table
from headstart.components.core.metrics.comparison import BETTER, CANNOT_TELL, WORSE
from headstart.components.core.reports import page

METHOD_TITLES = {"from_scratch": "from scratch", "head": "head alone", "fine_tuned": "fine-tuned"}

_ROUNDING = 1e-9


def render(table: Table, command: str = "", first_line: str = "") -> str:
    """Renders the page.

    Args:
        table: What it shows.
        command: What started the run; empty: not told.
        first_line: The classes with their counts, and where they come from; empty: not known.
    """
    chosen = next(row for row in table.rows if row.name == table.chosen)
    return page.render(
        __package__,
        "comparison.html.j2",
        table=table,
        chosen=chosen,
        others=[row for row in table.rows if row.difference],
        verdict=_verdict(table),
        cheaper=_cheaper(table, chosen),
        low=_low(table),
        reach=_reach(table),
        accelerators=any(row.accelerators for row in table.rows),
        methods=METHOD_TITLES,
        duration=duration,
        command=command,
        first_line=first_line,
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 60 else f"{minutes / 60:.1f} h"


def _verdict(table: Table) -> str:
    """How the others did beside the chosen one, in a sentence."""
    named = {
        verdict: [row.name for row in table.rows if row.difference and row.difference.verdict == verdict]
        for verdict in (BETTER, WORSE, CANNOT_TELL)
    }
    said = []
    if named[WORSE]:
        said.append(f"it is better than {_and(named[WORSE])}")
    if named[BETTER]:
        said.append(f"{_and(named[BETTER])} {_are(named[BETTER])} better than it")
    if named[CANNOT_TELL]:
        said.append(f"whether {_and(named[CANNOT_TELL])} {_are(named[CANNOT_TELL])} better or worse cannot be told")
    return f"On the test pictures, which had no part in the choice, {'; '.join(said)}."


def _cheaper(table: Table, chosen: Row) -> str:
    """The variant that trained fastest of those that are not worse; empty where that is the chosen one."""
    equals = [row for row in table.rows if row.difference is None or row.difference.verdict != WORSE]
    fastest = min(equals, key=lambda row: row.seconds)
    if fastest is chosen:
        return ""
    return (
        f"Of those not shown to be worse, {fastest.name} trained fastest: {duration(fastest.seconds)} against "
        f"{duration(chosen.seconds)}."
    )


def _low(table: Table) -> float:
    """Where the scale of accuracies begins, so that those of good models can be told apart."""
    return math.floor(10 * min(row.accuracy_interval[0] for row in table.rows) + _ROUNDING) / 10


def _reach(table: Table) -> float:
    """How far the scale of differences reaches to both sides of 0."""
    bounds = [bound for row in table.rows if row.difference for bound in row.difference.accuracy_interval]
    return math.ceil(100 * max(0.01, *map(abs, bounds)) - _ROUNDING) / 100


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
