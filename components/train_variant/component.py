"""KFP interface of `train_variant`."""

from typing import Any, Dict

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
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
    """Trains a model by one of the three methods, all its phases in one task.

    Args:
        train: Dataset artifact to train on.
        validation: Dataset artifact that chooses the epoch and, in fine-tuning, the share of the fine-tuned weights.
        model: Model artifact: model.keras, model.json, history.csv.
        tensorboard: TensorBoard event files of each phase, as `train_head` writes them.
        variant: Variant to train: name; method, which is 'from_scratch', 'head' or 'fine_tuned'; and optionally
            recipe, settings, backbone, weights and image_size, as those of `train_head`.
        seed: Random seed for initialisation, augmentation and the order of images.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints, from which interrupted training resumes;
            empty: none. The seconds of resumed epochs count.
        accelerators: Number of GPUs required, as text; the task fails if TensorFlow finds fewer.
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
