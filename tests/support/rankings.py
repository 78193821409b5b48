"""Assessments of backbones that are wrong on as many images as a test wants."""

import numpy as np

from headstart.components.core.artifacts.backbone_assessment import Assessment
from headstart.components.core.artifacts.predictions import Predictions

IMAGES = 400
LABELS = np.random.default_rng(0).integers(0, 2, IMAGES)


def assessed(name: str, parameters: int, wrong: int, seed: int) -> Assessment:
    """A backbone that is wrong on so many images, with 0.9 for its class in each."""
    mistaken = np.random.default_rng(seed).permutation(IMAGES) < wrong
    first = np.where(mistaken == LABELS, 0.9, 0.1)
    names = [str(number) for number in range(IMAGES)]
    predictions = Predictions(
        classes=["cat", "dog"],
        ids=names,
        groups=names,
        paths=names,
        labels=LABELS,
        probabilities=np.stack([first, 1 - first], axis=1),
        slices={},
        seen=np.zeros(IMAGES, bool),
    )
    return Assessment(name, predictions, parameters, 100.0, 1.0)
