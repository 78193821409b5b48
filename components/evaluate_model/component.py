"""KFP interface of `evaluate_model`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def evaluate_model(
    model: Input[Model],
    test: Input[Dataset],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
    head: Input[Model] = None,
    from_scratch: Input[Model] = None,
) -> None:
    """Runs models once over the test images; writes predictions, metrics and a report.

    Args:
        model: Model artifact of the final model.
        test: Dataset artifact that no training has seen.
        evaluation: Folder of predictions.parquet and metrics.json.
        metrics: Accuracy and log loss, for KFP's user interface.
        classification: Confusion matrix and, for two classes, the ROC curve, likewise.
        report: One HTML page that needs no network.
        head: Model artifact of the head alone, to show beside it.
        from_scratch: Model artifact of the network trained from scratch, to show beside it.
    """
    from pathlib import Path

    from headstart.components.evaluate_model import show, step

    others = [Path(other.path) for other in (from_scratch, head) if other]
    result = step.evaluate_model(Path(model.path), others, Path(test.path), Path(evaluation.path), Path(report.path))
    show.show(result, metrics, classification)
