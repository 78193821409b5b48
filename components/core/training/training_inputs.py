"""What every training step is given."""

import dataclasses
from pathlib import Path

from headstart.components.core.recipes.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrainingInputs:
    """Data, hyperparameters, seed and addresses of a training step.

    Attributes:
        train: Folder of the dataset artifact to train on.
        validation: Folder of the dataset artifact that chooses the epoch.
        recipe: Hyperparameters.
        seed: Random seed for initialisation, augmentation and the order of images.
        record_uri: Folder, or gs:// or s3:// address, of a feature cache shared with other machines; empty: none.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints to write and to resume from; empty: none.
        accelerators: Number of GPUs required; 0: none.
        tensorboard: Folder that receives TensorBoard event files; None: none are written.
    """

    train: Path
    validation: Path
    recipe: Recipe
    seed: int
    record_uri: str = ""
    checkpoint_uri: str = ""
    accelerators: int = 0
    tensorboard: Path | None = None
