"""How a stage trains: the settings that every stage has."""

import dataclasses

from headstart.components.core.errors import HeadstartError

AUTO = -1

# Each view costs a pass of every image through the frozen layers. On 2,000 photographs more views than one gained
# nothing that could be measured; for a few hundred images they cost seconds.
_VIEWS_IN_ALL = 3_000
_MOST_VIEWS = 6


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        stage: ``head``, ``fine_tuning`` or ``from_scratch``: for the log and the curves.
        epochs: Passes over the training images.
        learning_rate: Peak of the schedule: a linear warm-up over a tenth of the steps, then a cosine to 0.
        augmented_views: Recorded views of each training image: one plain, the others augmented; -1: as many as
            make about 3,000 in all, 1 to 6.
        batch_size: Images a step.
        seed: Of everything drawn at random.

    Raises:
        HeadstartError: A number is not above 0, or the views neither that nor -1.
    """

    stage: str
    epochs: int
    learning_rate: float
    augmented_views: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_size"):
            value = getattr(self, name)
            if not value > 0:
                raise HeadstartError(f"{name} of stage {self.stage} is {value}; it must be above 0")
        if self.augmented_views < 1 and self.augmented_views != AUTO:
            raise HeadstartError(
                f"augmented_views is {self.augmented_views}; give 1 or more views, or {AUTO} for as many as pay"
            )

    def views(self, images: int) -> int:
        """How many views of each of so many training images to record."""
        if self.augmented_views == AUTO:
            return max(1, min(_MOST_VIEWS, _VIEWS_IN_ALL // images))
        return self.augmented_views
