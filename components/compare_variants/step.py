"""Compares variants: chooses one on validation images, compares the others with it, and lists their costs."""

from pathlib import Path
from typing import Any

from headstart.components.compare_variants.comparison_page import render_comparison
from headstart.components.compare_variants.variant_table import build_table, read_evaluated_variant
from headstart.components.core.artifacts.hygiene import read_hygiene
from headstart.components.core.recipes.variants import read_variants
from headstart.components.core.reports.page import describe_data, describe_run, now
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, start_logging


@explain_full_disk()
def compare_variants(
    evaluations: list[Path], variants: list[dict[str, Any]], comparison: Path, report: Path, command: str = ""
) -> str:
    """Compares evaluated variants and writes the table and its page.

    Args:
        evaluations: Folders that `evaluate_model` made, one a variant.
        variants: Fields of each `Variant`, in the same order.
        comparison: JSON file to write.
        report: HTML file to write.
        command: Command that started the run, for the report.

    Returns:
        Name of the variant that the validation images choose.

    Raises:
        HeadstartError: If there are fewer than two variants, or evaluations are missing, damaged or of different
            images.
    """
    start_logging()
    log_phase("comparing")
    definitions = read_variants(variants)
    if len(evaluations) != len(definitions):
        raise HeadstartError(f"{len(evaluations)} evaluations of {len(definitions)} variants; evaluate each once")
    table = build_table(
        [read_evaluated_variant(each, folder) for each, folder in zip(definitions, evaluations, strict=True)]
    )
    for path in (comparison, report):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(comparison, table.as_json())
    data = describe_data(read_hygiene(evaluations[0]), table.classes)
    run = describe_run(command, report)
    report.write_text(render_comparison(table, data, command, now(), run), encoding="utf-8")
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
            **({} if table.groups is None else {"groups": table.groups, "unit": table.grouping}),
            **({"folds": table.folds} if table.folds else {}),
        )
    event("chosen", variant=table.chosen)
    return table.chosen
