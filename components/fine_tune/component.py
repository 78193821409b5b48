"""KFP interface of `fine_tune`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
) -> None:
    """Trains the head and the backbone's top layers together; never worse than the head on validation loss.

    Args:
        head: Model artifact of the head stage.
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and how far to go from the head.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard's event files: loss, accuracy and learning rate of each step, and of each epoch those
            of validation too.
        recipe: Name of a recipe, a file of one, or its YAML; the backbone is the head's.
        settings: Values of single keys of it, by their dotted names, such as fine_tuning.epochs.
        seed: Of everything drawn at random.
        record_uri: Folder, or gs:// or s3:// address, where what the frozen layers say of images is kept for other
            runs; empty: nowhere but in a cache of this machine.
        deterministic: Whether weights are the same to the last bit each time; false: as the recipe has it.
        checkpoint_uri: Folder, or gs:// or s3:// address, where each epoch's state goes, and from which interrupted
            training goes on; empty: none.
        accelerators: How many GPUs there have to be, as text; the step stops where TensorFlow sees fewer.
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
    )
    info = step.fine_tune(Path(head.path), inputs, Path(model.path))
    model.metadata.update(info.metrics)
