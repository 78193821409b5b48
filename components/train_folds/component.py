"""KFP interface of `train_folds`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def train_folds(
    train: Input[Dataset],
    results: Output[Artifact],
    folds: str,
    method: str = "fine_tuned",
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006 - KFP reads the default and never changes it
    backbone: str = "",
    weights: str = "",
    image_size: int = 0,
    seed: int = 0,
    record_uri: str = "",
    deterministic: bool = False,
    checkpoint_uri: str = "",
    accelerators: str = "0",
) -> None:
    """Trains a model without each of some cross-validation folds, and predicts the fold's images with it.

    Features are computed once for all images.

    Args:
        train: Dataset artifact of all images, which `split_dataset` divided for cross-validation.
        results: Folder of fold_results.json, and of predictions out of fold after each training phase.
        folds: Numbers of the folds, from 0, separated by commas; empty: none, where nothing is cross-validated.
        method: Training method: 'head', 'fine_tuned' or 'from_scratch'.
        recipe: As `train_head` takes it, likewise all that follow.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.
        seed: See `recipe`.
        record_uri: See `recipe`.
        deterministic: See `recipe`.
        checkpoint_uri: See `recipe`.
        accelerators: See `recipe`.
    """
    from pathlib import Path

    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.recipes.variants import find_method
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.train_folds import step

    chosen = load_recipe(recipe, settings).override(
        backbone=backbone, weights=weights, image_size=image_size, deterministic=deterministic
    )
    inputs = TrainingInputs(
        Path(train.path),
        Path(train.path),
        chosen,
        seed,
        record_uri=record_uri,
        checkpoint_uri=checkpoint_uri,
        accelerators=int(accelerators or 0),
    )
    numbers = [int(fold) for fold in folds.split(",") if fold]
    step.train_folds(inputs, numbers, find_method(method), Path(results.path))
