"""How a stage trains: the settings that every stage has."""

import dataclasses

from headstart.components.core.errors import HeadstartError


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        stage: ``head``, ``fine_tuning`` or ``from_scratch``: for the log and the curves.
        epochs: Passes over the training images.
        learning_rate: Peak of the schedule: a linear warm-up over a tenth of the steps, then a cosine to 0.
        augmented_views: Recorded views of each training image: one plain, the others augmented.
        batch_size: Images a step.
        seed: Of everything drawn at random.

    Raises:
        HeadstartError: A number is not above 0.
    """

    stage: str
    epochs: int
    learning_rate: float
    augmented_views: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "augmented_views", "batch_size"):
            value = getattr(self, name)
            if not value > 0:
                raise HeadstartError(f"{name} of stage {self.stage} is {value}; it must be above 0")
