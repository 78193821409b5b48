"""How a stage trains."""

import dataclasses

from headstart.components.core.recipes.recipe import Augmentation, Recipe, Training


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one stage trains.

    Attributes:
        stage: ``head``, ``fine_tuning`` or ``from_scratch``: for the log and the curves.
        training: Its section of the recipe.
        augmentation: Of its training images.
        seed: Of everything drawn at random.
        deterministic: Whether it gives the same weights to the last bit each time.
    """

    stage: str
    training: Training
    augmentation: Augmentation
    seed: int
    deterministic: bool = False

    @classmethod
    def of(cls, recipe: Recipe, stage: str, seed: int) -> "Plan":
        """The plan of a stage, whose section of the recipe has its name."""
        return cls(stage, getattr(recipe, stage), recipe.augmentation, seed, recipe.deterministic)
