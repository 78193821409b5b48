"""Plan of a training phase."""

import dataclasses

from headstart.components.core.recipes.recipe import Augmentation, Recipe, TrainingSettings


@dataclasses.dataclass(frozen=True)
class Plan:
    """Hyperparameters and seed of one training phase.

    Attributes:
        phase: ``head``, ``fine_tuning`` or ``from_scratch``, also its name in the log and in the history.
        training: Settings of the phase, its section of the recipe.
        augmentation: Augmentation of the training images.
        seed: Random seed for initialisation, augmentation and the order of images.
        deterministic: Whether repeated training gives the same weights to the last bit.
    """

    phase: str
    training: TrainingSettings
    augmentation: Augmentation
    seed: int
    deterministic: bool = False

    @classmethod
    def of(cls, recipe: Recipe, phase: str, seed: int) -> "Plan":
        """The plan of a phase, whose name is that of its section of the recipe."""
        return cls(phase, getattr(recipe, phase), recipe.augmentation, seed, recipe.deterministic)
