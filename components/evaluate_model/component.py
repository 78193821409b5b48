"""KFP interface of `evaluate_model`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def evaluate_model(
    model: Input[Model],
    test: Input[Dataset],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
    validation: Input[Dataset] = None,
    head: Input[Model] = None,
    from_scratch: Input[Model] = None,
    champion: str = "",
    command: str = "",
    calibration: Input[Artifact] = None,
    false_alarm: float = 0.01,
) -> None:
    """Evaluates models once on the test images; writes predictions, metrics and a report.

    Args:
        model: Model artifact of the final model.
        test: Dataset artifact that was not used in training.
        evaluation: Folder of metrics.json, predictions.parquet, label_errors.csv, and everything that the report is
            made of.
        metrics: Key metrics of every model, for KFP's user interface.
        classification: Confusion matrix and, for two classes, the ROC curve, for KFP's user interface.
        report: HTML page that needs no network.
        validation: Dataset artifact for calibration and abstention thresholds; without it there are none.
        head: Model artifact of the head alone, to show beside it; it also holds the suspected label errors.
        from_scratch: Model artifact of the network trained from scratch, to show beside it.
        champion: Champion, to be evaluated on the same test images: a model artifact's folder as a path or an
            http(s)://, gs:// or s3:// address; empty: there is none.
        command: Command that started the run, for the report.
        calibration: Calibration that the model brings along, as `select_test_images` writes it, in place of
            validation images.
        false_alarm: Wanted share of new images like the validation images that are flagged as unfamiliar, above 0
            and below 0.5. With too few validation images it is higher, and metrics.json says by how much.
    """
    from pathlib import Path

    from headstart.components.evaluate_model import kfp_metrics, step

    inputs = step.EvaluationInputs(
        model=Path(model.path),
        test=Path(test.path),
        validation=Path(validation.path) if validation else None,
        others=[Path(other.path) for other in (from_scratch, head) if other],
        champion=champion,
        command=command,
        calibration=Path(calibration.path) if calibration else None,
        false_alarm=false_alarm,
    )
    result = step.evaluate_model(inputs, Path(evaluation.path), Path(report.path))
    kfp_metrics.log_kfp_metrics(result, metrics, classification)
