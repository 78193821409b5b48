"""KFP interface of `predict_images`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
    """Predicts what images show; one that cannot be read is listed with the reason and stops no other.

    Where no image at all could be read, the task fails.

    Args:
        predictions: Parquet file, one row an image: file, label, abstained, probability_NAME for each class, and, of
            images that could not be read, reason and detail.
        metrics: How many images there were, how many could not be read, and of how many the model was not sure.
        model: Model artifact, unless model_uri is given.
        evaluation: Folder that evaluate_model made of it, which calibrates the probabilities; it lies beside the
            model where model_uri is given.
        images: Dataset artifact, or a folder of pictures.
        model_uri: A model artifact, the output folder of a run, or where models are published, whose model in use is
            taken; a path or an http(s)://, gs:// or s3:// address.
        data: Further images: files, folders, patterns, archives, CSV or JSON-lines manifests, Parquet, and
            http(s)://, gs:// or s3:// addresses of any of these or of prefixes.
        precision: Share of right answers that is wanted, such as 0.95; where the model is less sure the label stays
            empty; 0: every image gets one.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
    """
    from pathlib import Path

    from headstart.components.predict_images import step

    inputs = step.Inputs(
        images=[*([images.path] if images else []), *data],
        model=Path(model.path) if model else None,
        evaluation=Path(evaluation.path) if evaluation else None,
        address=model_uri,
        precision=precision,
        image_column=image_column,
    )
    tally = step.predict_images(inputs, Path(predictions.path))
    counts = {"images": tally.images, "unreadable": tally.unreadable.total(), "abstained": tally.abstained}
    predictions.metadata.update(counts)
    for name, value in counts.items():
        metrics.log_metric(name, value)
