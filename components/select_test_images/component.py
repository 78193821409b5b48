"""KFP interface of `select_test_images`."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def select_test_images(
    dataset: Input[Dataset],
    model_uri: str,
    model: Output[Model],
    calibration: Output[Artifact],
    test: Output[Dataset],
    unknown_classes: str = "refuse",
) -> None:
    """Selects the images of a labelled dataset that a trained model can be evaluated on.

    Images that the model was trained or tuned on are left out, with their near-duplicates in the dataset.

    Args:
        dataset: Dataset artifact, read with the `max_side` and `ranges` of the model.
        model_uri: Model artifact, output folder of a run, or place where models are published, of which the champion
            is taken: a path or an http(s)://, gs:// or s3:// address.
        model: Model artifact, without what only its training needs.
        calibration: JSON file: temperature and abstention thresholds of the model's own evaluation.
        test: Dataset artifact with the model's classes, and `quarantine.csv` of everything that was left out.
        unknown_classes: Treatment of images of classes that the model does not know: 'refuse' or 'leave_out'.
    """
    from pathlib import Path

    from headstart.components.select_test_images import step

    selected = step.SelectedData(Path(model.path), Path(calibration.path), Path(test.path))
    found = step.select_test_images(Path(dataset.path), model_uri, selected, unknown_classes)
    test.metadata.update(images=found.images, seen=found.seen, unknown=sum(found.unknown_classes.values()))
