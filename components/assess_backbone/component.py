"""KFP interface of `assess_backbone`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def assess_backbone(
    train: Input[Dataset],
    validation: Input[Dataset],
    measurement: Input[Artifact],
    assessment: Output[Artifact],
    backbone: str,
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006 - KFP reads the default and never changes it
    image_size: int = 0,
    seed: int = 0,
    record_uri: str = "",
    accelerators: str = "0",
) -> None:
    """Assesses a backbone without training it: features once, then ridge regression in five folds.

    Near-duplicates and groups are kept whole.

    Args:
        train: Dataset artifact of the training set.
        validation: Dataset artifact of the validation set.
        measurement: Artifact of `measure_backbones`, which has measured this backbone among others.
        assessment: Folder of assessment.json and the predictions of each image out of fold, as Parquet.
        backbone: Backbone to assess: a name, a hub: preset, or the address of a .keras file.
        recipe: Name or YAML of a recipe, as `train_head` takes it, likewise settings and image_size.
        settings: See `recipe`.
        image_size: See `recipe`.
        seed: Random seed of the images that are drawn, the folds and the augmented views.
        record_uri: Folder, or gs:// or s3:// address, of a feature cache shared with other machines; empty: none.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.
    """
    import tempfile
    from pathlib import Path

    from headstart.components.assess_backbone import step
    from headstart.components.core.artifacts.backbone_assessment import read_measurement, write_assessment
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.training.training_inputs import TrainingInputs

    measured = read_measurement(Path(measurement.path))
    inputs = TrainingInputs(
        Path(train.path),
        Path(validation.path),
        load_recipe(recipe, settings).override(backbone=backbone, image_size=int(image_size)),
        seed,
        record_uri=record_uri,
        accelerators=int(accelerators or 0),
    )
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        drawn = step.draw_images(inputs, measured, Path(folder))
        write_assessment(Path(assessment.path), step.assess_backbone(drawn, backbone, measured))
