"""KFP interface of `predict_images`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def predict_images(
    predictions: Output[Dataset],
    metrics: Output[Metrics],
    model: Input[Model] = None,
    evaluation: Input[Artifact] = None,
    images: Input[Dataset] = None,
    model_uri: str = "",
    data: List[str] = [],  # noqa: B006 - KFP reads the default and never changes it
    precision: float = 0.0,
    image_column: str = "",
) -> None:
    """Predicts the classes of images; an unreadable image is listed with the reason and stops no other.

    The task fails if no image can be read.

    Args:
        predictions: Parquet file, one row an image: file, label, abstained, probability_NAME for each class, and for
            unreadable images reason and detail; unfamiliarity, unfamiliar, and abstention, the reason for it.
        metrics: Numbers of images, of unreadable ones, of those without a label as the model abstains, and of those
            that are flagged as unfamiliar.
        model: Model artifact, unless model_uri is given.
        evaluation: Folder that evaluate_model made of the model, which calibrates the probabilities; with model_uri
            the one beside the model is taken.
        images: Dataset artifact, or a folder of images.
        model_uri: Model artifact, output folder of a run, or place where models are published, of which the champion
            is taken: a path or an http(s)://, gs:// or s3:// address.
        data: Further images: files, folders, patterns, archives, CSV or JSON-lines manifests, Parquet, and
            http(s)://, gs:// or s3:// addresses of any of these or of prefixes.
        precision: Wanted share of correct predictions, such as 0.95; where the model is less sure, or the image
            is unfamiliar, the label stays empty. 0: every image gets a label.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
    """
    from pathlib import Path

    from headstart.components.predict_images import step

    inputs = step.PredictionInputs(
        images=[*([images.path] if images else []), *data],
        model=Path(model.path) if model else None,
        evaluation=Path(evaluation.path) if evaluation else None,
        address=model_uri,
        precision=precision,
        image_column=image_column,
    )
    counts = step.predict_images(inputs, Path(predictions.path))
    values = {"images": counts.images, "unreadable": counts.unreadable.total(), "abstained": counts.abstained}
    values["unfamiliar"] = counts.unfamiliar
    predictions.metadata.update(values)
    for name, value in values.items():
        metrics.log_metric(name, value)
