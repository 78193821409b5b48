"""Two models on the same test images: which one is better, if that can be told."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.statistics import (
    Interval,
    affordable_resamples,
    clopper_pearson,
    cross_entropies,
    mcnemar,
    percentiles,
    resamples_of,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import quoted

BETTER = "better"
WORSE = "worse"
CANNOT_TELL = "cannot tell"

LEVEL = 0.05
"""Share of equal models that may be taken for better, and of those that may be taken for worse."""

MIN_IMAGES = 50
"""Test images that have to be left for a comparison."""

_SEED = 0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A candidate beside the champion, the model in use, on the test images that the champion has not seen.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        reason: Why, in a sentence.
        level: Of the tests: the share of equal models that they take for better, at most, and likewise for worse.
        images: Test images compared.
        seen: Test images left out: the champion was trained or tuned on them or on near-duplicates.
        only_candidate: Images that only the candidate gets right.
        only_champion: Images that only the champion gets right.
        p_better: McNemar's exact one-sided p-value: how often equal models differ as much in favour of the candidate.
        p_worse: Likewise in favour of the champion.
        accuracy: The candidate's, on these images.
        champion_accuracy: The champion's.
        accuracy_difference: Candidate less champion; None without images.
        accuracy_interval: Of it, from the paired bootstrap; each end is a one-sided bound at the level.
        log_loss_difference: Candidate less champion, in nats; below 0 the candidate is better.
        log_loss_interval: Likewise.
    """

    verdict: str
    reason: str
    level: float
    images: int
    seen: int
    only_candidate: int
    only_champion: int
    p_better: float
    p_worse: float
    accuracy: float | None = None
    champion_accuracy: float | None = None
    accuracy_difference: float | None = None
    accuracy_interval: Interval | None = None
    log_loss_difference: float | None = None
    log_loss_interval: Interval | None = None


@dataclasses.dataclass(frozen=True)
class Chance:
    """A model beside the one that always answers with the most frequent class of the test images.

    Attributes:
        excluded: Whether the model's accuracy is shown to be higher: its interval lies above `share`.
        label: The most frequent class.
        share: The share of the test images that is of it.
        accuracy: Accuracy of the model.
        interval: Exact interval (Clopper and Pearson) of this accuracy, each end a one-sided bound at the level.
        level: Share of models no better than chance for which `excluded` is true, at most.
        images: Number of test images.
    """

    excluded: bool
    label: str
    share: float
    accuracy: float
    interval: Interval
    level: float
    images: int

    def in_words(self) -> str:
        """The accuracy with its interval and what it is held against, as a clause."""
        low, high = self.interval
        always = f"{self.share:.4f} that always answering {quoted(self.label)} reaches"
        # An end that rounds to the share must not look as if it were equal to it.
        return (
            f"accuracy {self.accuracy:.4f} on {self.images} test images ({100 * (1 - 2 * self.level):g} % interval "
            f"{low:.4f} to {high:.4f}) {'is above' if self.excluded else 'is not shown to be above'} the {always}"
        )


def against_chance(correct: int, per_class: Mapping[str, int], level: float = LEVEL) -> Chance:
    """Tells whether an accuracy can be had without looking at the images.

    Chance is the share of the most frequent class. The test is exact and one-sided: of models that are no better, at
    most the share `level` passes, on any number of images.

    Args:
        correct: Number of test images that the model gets right.
        per_class: Number of test images of each class; at least one image in all.
        level: Level of the test.
    """
    images = sum(per_class.values())
    label, most = max(per_class.items(), key=lambda item: item[1])
    interval = clopper_pearson(correct, images, 1 - 2 * level)
    return Chance(interval[0] > most / images, label, most / images, correct / images, interval, level, images)


def compare(
    candidate: Predictions, champion: Predictions, level: float = LEVEL, min_images: int = MIN_IMAGES
) -> Comparison:
    """Compares two models, image by image.

    Accuracy decides, by McNemar's exact test: of two equal models, at most the share `level` is taken for better, on
    any number of images. A model whose accuracy is better and whose log loss is worse, by the paired bootstrap, is
    not called better: it has become surer of its mistakes.

    Args:
        candidate: Of the new model.
        champion: Of the model in use, on the same images in the same order.
        level: Of the tests.
        min_images: Images that have to be left when those that the champion has seen are gone.

    Raises:
        HeadstartError: They are predictions of different images or classes.
    """
    if candidate.ids != champion.ids or candidate.classes != champion.classes:
        raise HeadstartError(
            "candidate and champion answer different images or classes; evaluate both on one test set"
        )
    kept = ~champion.seen
    images, seen = int(kept.sum()), int(champion.seen.sum())
    right, champion_right = candidate.right[kept], champion.right[kept]
    only_candidate, only_champion = int((right & ~champion_right).sum()), int((~right & champion_right).sum())
    p_better, p_worse = mcnemar(only_candidate, only_champion)
    counts = (level, images, seen, only_candidate, only_champion, p_better, p_worse)
    if images < max(1, min_images):
        why = (
            f"only {images} of {len(kept)} test images are left that the champion has not seen; it takes {min_images}"
        )
        return Comparison(CANNOT_TELL, why, *counts)

    labels = candidate.labels[kept]
    differences = np.stack(
        [
            right.astype(np.float64) - champion_right,
            cross_entropies(labels, candidate.probabilities[kept])
            - cross_entropies(labels, champion.probabilities[kept]),
        ],
        axis=1,
    )
    means = [differences.mean(axis=0)]
    means += [weights @ differences / images for weights in resamples_of(images, _SEED, affordable_resamples(images))]
    accuracy, log_loss = np.array(means).T
    log_loss_interval = percentiles(log_loss, 1 - 2 * level)
    verdict, reason = _verdict(level, only_candidate, only_champion, p_better, p_worse, log_loss_interval[0] > 0)
    return Comparison(
        verdict,
        reason,
        *counts,
        accuracy=float(right.mean()),
        champion_accuracy=float(champion_right.mean()),
        accuracy_difference=float(accuracy[0]),
        accuracy_interval=percentiles(accuracy, 1 - 2 * level),
        log_loss_difference=float(log_loss[0]),
        log_loss_interval=log_loss_interval,
    )


def _verdict(
    level: float, only_candidate: int, only_champion: int, p_better: float, p_worse: float, surer_of_mistakes: bool
) -> tuple[str, str]:
    counts = f"{only_candidate} images are right with the candidate alone, {only_champion} with the champion alone"
    if p_worse <= level:
        return WORSE, f"{counts} ({_p(p_worse)})"
    if p_better > level:
        return CANNOT_TELL, f"{counts}; equal models differ as much too often ({_p(min(p_better, p_worse))})"
    if surer_of_mistakes:
        return CANNOT_TELL, f"{counts} ({_p(p_better)}), but its log loss is higher: it is surer of its mistakes"
    return BETTER, f"{counts} ({_p(p_better)})"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"
