"""KFP interface of `measure_backbones`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def measure_backbones(
    train: Input[Dataset],
    validation: Input[Dataset],
    measurement: Output[Artifact],
    backbones: List[str],
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006 - KFP reads the default and never changes it
    image_size: int = 0,
    budget: float = 0.0,
    record_uri: str = "",
    accelerators: str = "0",
) -> None:
    """Measures size and speed of backbones, and decides how many images the budget suffices for.

    Args:
        train: Dataset artifact of the training set.
        validation: Dataset artifact of the validation set.
        measurement: Sizes, speeds, and the share of the images that each backbone is assessed on, as JSON.
        backbones: Backbones to choose from, two or more: names, hub: presets, or addresses of .keras files.
        recipe: Name or YAML of a recipe, as `train_head` takes it, likewise settings and image_size.
        settings: See `recipe`.
        image_size: See `recipe`.
        budget: Seconds that the features of a backbone may take in a pod of its own; 0: as long as they take.
        record_uri: Folder, or gs:// or s3:// address, of the shared feature cache. If it is given and the budget
            suffices, features are computed as a run computes them, augmented views included.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.
    """
    from pathlib import Path

    from headstart.components.core.artifacts.backbone_assessment import write_measurement
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.measure_backbones import step

    common = load_recipe(recipe, settings).override(image_size=int(image_size))
    recipes = {name: common.override(backbone=name) for name in backbones}
    allowed = step.Budget(budget, side_by_side=True, keep=bool(record_uri))
    found = step.measure_backbones(recipes, Path(train.path), Path(validation.path), allowed, int(accelerators or 0))
    path = Path(measurement.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_measurement(path, found)
