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
        whole: Folder of a dataset artifact of which all others are parts; features are computed once for all of it.
            None: there is none.
        held_out: Folder of a dataset artifact whose images the trained model predicts; None: there is none.
        fold_results: Folder of the results of a cross-validation, which choose in place of validation images; None:
            validation images choose.
    """

    train: Path
    validation: Path
    recipe: Recipe
    seed: int
    record_uri: str = ""
    checkpoint_uri: str = ""
    accelerators: int = 0
    tensorboard: Path | None = None
    whole: Path | None = None
    held_out: Path | None = None
    fold_results: Path | None = None

    @property
    def featured(self) -> Path:
        """Dataset artifact whose features are computed in all views."""
        return self.whole or self.train
