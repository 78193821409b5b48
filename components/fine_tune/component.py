"""KFP interface of `fine_tune`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def fine_tune(
    head: Input[Model],
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    tensorboard: Output[Artifact],
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006 - KFP reads the default and never changes it
    seed: int = 0,
    record_uri: str = "",
    deterministic: bool = False,
    checkpoint_uri: str = "",
    accelerators: str = "0",
    folds: Input[Artifact] = None,
) -> None:
    """Trains the head and the backbone's top layers together; the validation loss never exceeds the head's.

    Args:
        head: Model artifact of the trained head.
        train: Dataset artifact to train on.
        validation: Dataset artifact that chooses the epoch and the share of the fine-tuned weights.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard event files: loss, accuracy and learning rate of each step; loss and accuracy of each
            epoch, those of validation too.
        recipe: Name, file or YAML of a recipe; the backbone is the head's.
        settings: Values of single keys of the recipe by their dotted names, such as fine_tuning.epochs.
        seed: Random seed for initialisation, augmentation and the order of images.
        record_uri: Folder, or gs:// or s3:// address, of a feature cache shared with other runs; empty: only this
            machine's cache.
        deterministic: Whether repeated training gives the same weights to the last bit; false: as in the recipe.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints, from which interrupted training resumes;
            empty: none.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.
        folds: Folder that `combine_folds` made, whose results choose in place of validation images; without it, or
            without cross-validation, validation images choose.
    """
    from pathlib import Path

    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.fine_tune import step

    inputs = TrainingInputs(
        Path(train.path),
        Path(validation.path),
        load_recipe(recipe, settings).override(deterministic=deterministic),
        seed,
        record_uri=record_uri,
        checkpoint_uri=checkpoint_uri,
        accelerators=int(accelerators or 0),
        tensorboard=Path(tensorboard.path),
        fold_results=Path(folds.path) if folds else None,
    )
    info = step.fine_tune(Path(head.path), inputs, Path(model.path))
    model.metadata.update(info.metrics)
