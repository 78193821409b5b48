"""KFP interface of `rank_backbones`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def rank_backbones(
    assessments: Input[List[Artifact]],
    measurement: Input[Artifact],
    ranking: Output[Artifact],
    report: Output[Markdown],
    command: str = "",
) -> str:
    """Ranks backbones by log loss, and compares each with the best on the same images.

    Args:
        assessments: Folders that `assess_backbone` made, one a backbone.
        measurement: Artifact of `measure_backbones`.
        ranking: The backbones from best to worst, with paired 95 % intervals of their differences, as JSON.
        report: The same in words, as Markdown.
        command: Command that trains, to which the chosen backbone is added; empty: none is shown.

    Returns:
        Name of the backbone to take: the smallest of those that cannot be told apart from the best.
    """
    from pathlib import Path

    from headstart.components.rank_backbones import step

    folders = [Path(assessment.path) for assessment in assessments]
    files = (Path(measurement.path), Path(ranking.path), Path(report.path))
    return step.rank_assessments(folders, *files, command)
