"""Pipeline `evaluate_images`: a trained model evaluated on labelled images that it has not seen."""

from typing import Any, Dict, List

from kfp import dsl

from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.list_data.component import list_data
from headstart.components.select_test_images.component import select_test_images
from headstart.pipelines.definitions.tasks import EVALUATE_IMAGES


@dsl.pipeline(
    name=EVALUATE_IMAGES, description="Evaluates a trained image classifier on labelled images that it has not seen."
)
def evaluate_images(
    data: List[str],
    model_uri: str,
    max_side: int,
    ranges: Dict[str, Any],
    labels: str,
    class_level: int,
    max_bad_fraction: float,
    sha256: List[str],
    corrections: str,
    image_column: str,
    label_column: str,
    group_column: str,
    group_from: str,
    unknown_classes: str,
    command: str,
) -> None:
    """Evaluates a trained classifier on other images than its run's.

    Args:
        data: Sources, as `download_dataset` takes them; likewise the parameters up to `group_from`.
        model_uri: Address of the model, as `select_test_images` takes it.
        max_side: Longest side of the images that the model was trained on.
        ranges: Black and white of images of more than 8 bits, as the model has them.
        labels: See `data`.
        class_level: See `data`.
        max_bad_fraction: See `data`.
        sha256: See `data`.
        corrections: See `data`.
        image_column: See `data`.
        label_column: See `data`.
        group_column: See `data`.
        group_from: See `data`.
        unknown_classes: Treatment of images of classes that the model does not know.
        command: Command that started the run, for the report.
    """
    listing = list_data(
        data=data,
        corrections=corrections,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
    ).set_caching_options(False)
    dataset = download_dataset(
        data=data,
        labels=labels,
        class_level=class_level,
        max_side=max_side,
        max_bad_fraction=max_bad_fraction,
        sha256=sha256,
        corrections=corrections,
        listing=listing.output,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        group_from=group_from,
        min_classes=1,
        ranges=ranges,
    )
    selected = select_test_images(
        dataset=dataset.outputs["dataset"], model_uri=model_uri, unknown_classes=unknown_classes
    )
    evaluate_model(
        model=selected.outputs["model"],
        test=selected.outputs["test"],
        calibration=selected.outputs["calibration"],
        command=command,
    )
