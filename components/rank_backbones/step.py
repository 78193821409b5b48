"""Ranks backbones by their assessments, and says which one to take."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from headstart.components.core.artifacts.backbone_assessment import (
    Assessment,
    Measurement,
    read_assessment,
    read_measurement,
)
from headstart.components.core.artifacts.backbone_ranking import RankedBackbone, Ranking, write_ranking
from headstart.components.core.metrics.backbone_ranking import rank_backbones
from headstart.components.core.reports.backbone_words import conclude, describe_backbone, ranking_titles
from headstart.components.core.reports.markdown import markdown_list, markdown_table
from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, start_logging


@explain_full_disk()
def rank_assessments(
    assessments: Sequence[Path], measurement: Path, ranking: Path, report: Path, command: str = ""
) -> str:
    """Ranks backbones, and writes the ranking as JSON and in words.

    Args:
        assessments: Folders that `assess_backbone` made, one a backbone.
        measurement: File that `measure_backbones` made.
        ranking: JSON file to write.
        report: Markdown file to write.
        command: Command that trains, to which the chosen backbone is added; empty: none.

    Returns:
        Name of the backbone to take.

    Raises:
        HeadstartError: If assessments are missing, damaged or of different images.
    """
    start_logging()
    log_phase("ranking")
    measured = read_measurement(measurement)
    found = build_ranking([read_assessment(each) for each in assessments], measured)
    for path in (ranking, report):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_ranking(ranking, found)
    suggested = f"{command} --backbone {shlex.quote(found.chosen)}" if command else ""
    with open_atomic(report) as file:
        file.write(_write_report(found, suggested).encode())
    for each in found.backbones:
        _log_backbone(each)
    event(
        "ranking",
        images=found.images,
        available=found.available,
        kept=found.kept,
        chosen=found.chosen,
        command=suggested,
    )
    return found.chosen


def build_ranking(assessments: Sequence[Assessment], measurement: Measurement) -> Ranking:
    """Ranks assessed backbones.

    Args:
        assessments: Findings on each backbone.
        measurement: Measurement that they were assessed by.

    Raises:
        HeadstartError: If there are none, or they are of different images.
    """
    if not assessments:
        raise HeadstartError("there is no assessment to rank; assess two backbones or more")
    ids = assessments[0].predictions.ids
    for each in assessments:
        if each.predictions.ids != ids:
            raise HeadstartError(
                f"{each.name} was assessed on other images than {assessments[0].name}; assess all on one dataset, "
                "with one measurement and one seed"
            )
    return Ranking(rank_backbones(assessments), len(ids), measurement.images, measurement.as_run)


def _write_report(ranking: Ranking, command: str) -> str:
    table = markdown_table(ranking_titles(), map(describe_backbone, ranking.backbones))
    lines = markdown_list(conclude(ranking))
    last = f"\nTo train it:\n\n```bash\n{command}\n```\n" if command else ""
    return f"# Backbone {ranking.chosen}\n\n{table}\n{lines}{last}"


def _log_backbone(backbone: RankedBackbone) -> None:
    differences: dict[str, float] = {}
    for name in ("log_loss", "accuracy"):
        difference, interval = getattr(backbone, f"{name}_difference"), getattr(backbone, f"{name}_interval")
        if difference is not None and interval is not None:
            low, high = interval
            differences |= {f"{name}_difference": difference, f"{name}_low": low, f"{name}_high": high}
    event(
        "ranked",
        backbone=backbone.name,
        log_loss=backbone.log_loss,
        accuracy=backbone.accuracy,
        parameters=backbone.parameters,
        images_per_second=backbone.images_per_second,
        seconds=backbone.seconds,
        **differences,
    )
