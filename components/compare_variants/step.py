"""Lays variants side by side: what each reaches, how it differs from the one that is chosen, and what it costs."""

from pathlib import Path
from typing import Any

from headstart.components.compare_variants.page import render
from headstart.components.compare_variants.table import read_entrant, tabulate
from headstart.components.core.artifacts.hygiene import read_hygiene
from headstart.components.core.recipes.variants import read_variants
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging


@full_disk_in_one_line()
def compare_variants(
    evaluations: list[Path], variants: list[dict[str, Any]], comparison: Path, report: Path, command: str = ""
) -> str:
    """Writes the table and its page.

    Args:
        evaluations: Folders that `evaluate_model` made, one a variant.
        variants: The fields of each `Variant`, in the same order.
        comparison: The JSON file to write.
        report: The HTML file to write.
        command: What started the run, for the report.

    Returns:
        The name of the variant that the validation images choose.

    Raises:
        HeadstartError: There are fewer than two variants, or evaluations are missing, damaged, or of other images.
    """
    start_logging()
    asked = read_variants(variants)
    if len(evaluations) != len(asked):
        raise HeadstartError(f"{len(evaluations)} evaluations of {len(asked)} variants; evaluate each variant once")
    table = tabulate([read_entrant(each, folder) for each, folder in zip(asked, evaluations, strict=True)])
    for path in (comparison, report):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(comparison, table.as_json())
    hygiene = read_hygiene(evaluations[0])
    first_line = hygiene.first_line if hygiene else ""
    report.write_text(render(table, command, first_line), encoding="utf-8")
    for row in table.rows:
        low, high = row.accuracy_interval
        event(
            "metrics",
            model=row.name,
            accuracy=row.accuracy,
            low=low,
            high=high,
            log_loss=row.log_loss,
            images=table.images,
        )
    event("chosen", variant=table.chosen)
    return table.chosen
