"""KFP interface of `train_head`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def train_head(
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    tensorboard: Output[Artifact],
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
    to_be_tuned: bool = True,
    folds: Input[Artifact] = None,
) -> None:
    """Trains a new head on a frozen, pretrained backbone, whose features are computed once.

    Args:
        train: Dataset artifact to train on.
        validation: Dataset artifact that chooses the epoch.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard event files: loss, accuracy and learning rate of each step; loss and accuracy of each
            epoch, those of validation too.
        recipe: Name, file or YAML of a recipe.
        settings: Values of single keys of the recipe by their dotted names, such as head.epochs.
        backbone: Name of a backbone, or a .keras file or the address of one; empty: the recipe's.
        weights: Pretrained weights: 'none', a file, or an http(s)://, gs:// or s3:// address. Empty: the recipe's, or
            else those in the image, or else the backbone's own.
        image_size: Side in pixels that images are resized to; 0: the recipe's, or else the backbone's own.
        seed: Random seed for initialisation, augmentation and the order of images.
        record_uri: Folder, or gs:// or s3:// address, of a feature cache shared with other runs; empty: only this
            machine's cache.
        deterministic: Whether repeated training gives the same weights to the last bit; false: as in the recipe.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints, from which interrupted training resumes;
            empty: none.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.
        to_be_tuned: Whether fine_tune follows; its features are computed in the same pass.
        folds: Folder that `combine_folds` made, whose results choose in place of validation images; without it, or
            without cross-validation, validation images choose.
    """
    from pathlib import Path

    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.train_head import step

    chosen = load_recipe(recipe, settings).override(
        backbone=backbone, weights=weights, image_size=image_size, deterministic=deterministic
    )
    inputs = TrainingInputs(
        Path(train.path),
        Path(validation.path),
        chosen,
        seed,
        record_uri=record_uri,
        checkpoint_uri=checkpoint_uri,
        accelerators=int(accelerators or 0),
        tensorboard=Path(tensorboard.path),
        fold_results=Path(folds.path) if folds else None,
    )
    info = step.train_head(inputs, Path(model.path), to_be_tuned)
    model.metadata.update(info.metrics)
