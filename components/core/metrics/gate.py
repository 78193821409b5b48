"""Settings of the publication gate: what a candidate has to reach before it may replace the champion."""

import dataclasses

from headstart.components.core.util.errors import HeadstartError

SIGNIFICANCE_LEVEL = 0.05
"""Largest share of equally good models that may be taken for better; likewise for worse."""

MIN_COMPARED_IMAGES = 50
"""Fewest test images that a comparison needs, without those that the champion has seen."""

ABOVE_CHANCE = -1.0
"""Default of `min_accuracy`: the user gave none, and a first publication must be better than chance, by a test."""


@dataclasses.dataclass(frozen=True)
class Floors:
    """Lowest metrics that a candidate must reach on the test images, whatever the champion reaches.

    Attributes:
        min_accuracy: Accuracy, 0 to 1. A first publication must be shown better than chance besides, unless this
            is 0. Default -1: not given.
        min_recall: Recall, 0 to 1, of each class that has test images.
        max_slice_drop: Largest allowed accuracy loss against the champion on any slice of 20 images that the
            champion has not seen; 1: no limit.

    Raises:
        HeadstartError: If a value is outside [0, 1].
    """

    min_accuracy: float = ABOVE_CHANCE
    min_recall: float = 0.0
    max_slice_drop: float = 1.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1 and (name, value) != ("min_accuracy", ABOVE_CHANCE):
                raise HeadstartError(f"{name} {value}: give a share from 0 to 1, such as 0.9")


@dataclasses.dataclass(frozen=True)
class Gate:
    """Rules by which a candidate is compared with the champion.

    Attributes:
        level: Largest share of equally good models that may be taken for better.
        min_images: Fewest test images that a comparison needs.
        floors: Lowest metrics that a candidate must reach in any case.

    Raises:
        HeadstartError: If `level` is outside (0, 0.5).
    """

    level: float = SIGNIFICANCE_LEVEL
    min_images: int = MIN_COMPARED_IMAGES
    floors: Floors = dataclasses.field(default_factory=Floors)

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise HeadstartError(f"level {self.level}: give a share above 0 and below 0.5, such as 0.05")
