import numpy as np

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.backbone_ranking import Assessment, choose_smallest, rank_backbones

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


def test_of_those_that_cannot_be_told_apart_the_smallest_is_taken() -> None:
    large, small, bad = assessed("large", 30, 20, 1), assessed("small", 10, 22, 2), assessed("bad", 1, 90, 3)
    ranked = rank_backbones([bad, small, large])
    assert [each.assessment.name for each in ranked] == ["large", "small", "bad"]
    assert [each.accuracy for each in ranked] == [0.95, 0.945, 0.775]
    assert [each.may_be_best for each in ranked] == [True, True, False]
    assert ranked[0].comparison is None
    compared = ranked[2].comparison
    assert compared and compared.log_loss_interval and compared.log_loss_difference
    assert 0 < compared.log_loss_interval[0] < compared.log_loss_difference < compared.log_loss_interval[1]
    assert choose_smallest(ranked).assessment.name == "small"


def test_a_backbone_that_is_shown_to_be_worse_is_not_taken_for_its_size() -> None:
    ranked = rank_backbones([assessed("large", 30, 10, 1), assessed("small", 10, 60, 2)])
    assert choose_smallest(ranked).assessment.name == "large"
