"""Ranking of backbones by the out-of-fold predictions of classifiers on their features."""

import dataclasses
from collections.abc import Sequence

from headstart.components.core.artifacts.backbone_assessment import Assessment
from headstart.components.core.artifacts.backbone_ranking import RankedBackbone
from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.comparison import compare_predictions
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL, cross_entropies


def rank_backbones(assessments: Sequence[Assessment]) -> list[RankedBackbone]:
    """Ranks backbones by log loss, the best first, and compares each with the best.

    The intervals are of single comparisons. With many backbones, the best is to a part the luckiest.

    Args:
        assessments: Findings on each backbone, on the same images.
    """
    measured = sorted(((_measure(each), each.predictions) for each in assessments), key=lambda both: both[0].log_loss)
    (first, best), *others = measured
    return [first, *(_compare(backbone, predictions, best) for backbone, predictions in others)]


def _measure(assessment: Assessment) -> RankedBackbone:
    predictions = assessment.predictions
    losses = cross_entropies(predictions.labels, predictions.probabilities)
    return RankedBackbone(
        name=assessment.name,
        log_loss=float(losses.mean()),
        accuracy=float(predictions.right.mean()),
        parameters=assessment.parameters,
        images_per_second=assessment.images_per_second,
        seconds=assessment.seconds,
    )


def _compare(backbone: RankedBackbone, predictions: Predictions, best: Predictions) -> RankedBackbone:
    level = (1 - CONFIDENCE_LEVEL) / 2
    found = compare_predictions(predictions, best, level, min_images=1)
    return dataclasses.replace(
        backbone,
        log_loss_difference=found.log_loss_difference,
        log_loss_interval=found.log_loss_interval,
        accuracy_difference=found.accuracy_difference,
        accuracy_interval=found.accuracy_interval,
    )
