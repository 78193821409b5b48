"""Ranking of backbones by the out-of-fold predictions of classifiers on their features."""

import dataclasses
from collections.abc import Sequence

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.comparison import Comparison, compare_predictions
from headstart.components.core.metrics.statistics import CONFIDENCE_LEVEL, cross_entropies


@dataclasses.dataclass(frozen=True)
class Assessment:
    """Findings on one backbone.

    Attributes:
        name: Name of the backbone, as the user gave it.
        predictions: Out-of-fold predictions of training and validation images.
        parameters: Number of weights of the backbone.
        images_per_second: Images per second of a forward pass on this machine.
        seconds: Duration of the assessment in seconds.
    """

    name: str
    predictions: Predictions
    parameters: int
    images_per_second: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class RankedBackbone:
    """A backbone and how it compares with the best.

    Attributes:
        assessment: Findings on it.
        log_loss: Mean cross-entropy of its predictions, in nats.
        accuracy: Share of its predictions that are right.
        comparison: Paired comparison with the best, with 95 % intervals; None: it is the best.
    """

    assessment: Assessment
    log_loss: float
    accuracy: float
    comparison: Comparison | None = None

    @property
    def may_be_best(self) -> bool:
        """Whether it is the best, or its log loss cannot be told from that of the best."""
        interval = self.comparison.log_loss_interval if self.comparison else None
        return interval is None or interval[0] <= 0


def rank_backbones(assessments: Sequence[Assessment]) -> list[RankedBackbone]:
    """Ranks backbones by log loss, the best first, and compares each with the best.

    The intervals are of single comparisons. With many backbones, the best is to a part the luckiest.

    Args:
        assessments: Findings on each backbone, on the same images.
    """
    ranked = sorted(map(_measure, assessments), key=lambda each: each.log_loss)
    best = ranked[0].assessment.predictions
    return [ranked[0], *(_compare(each, best) for each in ranked[1:])]


def choose_smallest(ranked: Sequence[RankedBackbone]) -> RankedBackbone:
    """Chooses the smallest backbone of those that may be the best, by the number of parameters."""
    return min((each for each in ranked if each.may_be_best), key=lambda each: each.assessment.parameters)


def _measure(assessment: Assessment) -> RankedBackbone:
    predictions = assessment.predictions
    losses = cross_entropies(predictions.labels, predictions.probabilities)
    return RankedBackbone(assessment, float(losses.mean()), float(predictions.right.mean()))


def _compare(backbone: RankedBackbone, best: Predictions) -> RankedBackbone:
    level = (1 - CONFIDENCE_LEVEL) / 2
    comparison = compare_predictions(backbone.assessment.predictions, best, level, min_images=1)
    return dataclasses.replace(backbone, comparison=comparison)
