"""KFP interface of `train_head`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
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
) -> None:
    """Trains a new head on a frozen, pretrained backbone, whose features are recorded once.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard's event files: loss, accuracy and learning rate of each step, and of each epoch those
            of validation too.
        recipe: Name of a recipe, a file of one, or its YAML.
        settings: Values of single keys of it, by their dotted names, such as head.epochs.
        backbone: Name of a backbone; empty: the recipe's.
        weights: Pretrained weights: those in the image or else the backbone's own where the recipe has none either,
            'none', a file, or an http(s)://, gs:// or s3:// address.
        image_size: Side in pixels that images are resized to; 0: the recipe's, or else the backbone's own.
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
    )
    info = step.train_head(inputs, Path(model.path))
    model.metadata.update(info.metrics)
