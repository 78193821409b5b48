"""KFP interface of `train_variant`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def train_variant(
    train: Input[Dataset],
    validation: Input[Dataset],
    model: Output[Model],
    tensorboard: Output[Artifact],
    variant: Dict[str, Any],
    seed: int = 0,
    checkpoint_uri: str = "",
    accelerators: str = "0",
) -> None:
    """Trains a model by one of the three methods, from its first stage to its last.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and, in fine-tuning, how far to go from the head.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard's event files of each stage, as `train_head` writes them.
        variant: What is trained: its name; method, 'from_scratch', 'head' or 'fine_tuned'; and, where they differ
            from the default, recipe, settings, backbone, weights, image_size, as those of `train_head`.
        seed: Of everything drawn at random.
        checkpoint_uri: Folder, or gs:// or s3:// address, where each epoch's state goes, and from which interrupted
            training goes on; empty: none. The time of epochs that are taken over counts.
        accelerators: How many GPUs there have to be, as text; the step stops where TensorFlow sees fewer.
    """
    from pathlib import Path

    from headstart.components.core.recipes.variants import read_variant
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.train_variant import step

    chosen = read_variant(variant)
    inputs = TrainingInputs(
        Path(train.path),
        Path(validation.path),
        chosen.load_recipe(),
        seed,
        checkpoint_uri=checkpoint_uri,
        accelerators=int(accelerators or 0),
        tensorboard=Path(tensorboard.path),
    )
    info = step.train_variant(inputs, Path(model.path), chosen.name, chosen.method)
    model.metadata.update(info.metrics)
