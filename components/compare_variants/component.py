"""KFP interface of `compare_variants`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def compare_variants(
    evaluations: Input[List[Artifact]],
    comparison: Output[Artifact],
    report: Output[HTML],
    variants: List[Dict[str, Any]],
    command: str = "",
) -> str:
    """Compares variants: validation images choose one, test images show how the others differ from it.

    Args:
        evaluations: Folders that `evaluate_model` made with the same test and validation images, one a variant.
        comparison: Metrics, differences and costs, as JSON.
        report: The same as an HTML page that needs no network.
        variants: Definitions of the variants, in the order of the evaluations; see `train_variant`.
        command: Command that started the run, for the report.

    Returns:
        Name of the variant that the validation images choose.
    """
    from pathlib import Path

    from headstart.components.compare_variants import step

    folders = [Path(evaluation.path) for evaluation in evaluations]
    return step.compare_variants(folders, variants, Path(comparison.path), Path(report.path), command)
