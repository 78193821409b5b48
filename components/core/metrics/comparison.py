"""Paired comparison of two models on the same test images, and of one model with chance."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts.predictions import Predictions
from headstart.components.core.metrics.clusters import GroupedSample, sign_flip_test
from headstart.components.core.metrics.gate import MIN_COMPARED_IMAGES, SIGNIFICANCE_LEVEL
from headstart.components.core.metrics.statistics import (
    Groups,
    Interval,
    choose_resample_count,
    clopper_pearson_interval,
    cross_entropies,
    draw_resamples,
    mcnemar,
    percentile_interval,
    resampling_level,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import describe_groups, pluralize, quote_name

BETTER = "better"
WORSE = "worse"
CANNOT_TELL = "cannot tell"

_SEED = 0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Comparison of a candidate with the champion on the test images that the champion has not seen.

    Attributes:
        verdict: ``better``, ``worse`` or ``cannot tell``.
        reason: Reason of the verdict in a sentence.
        level: Significance level: largest share of equally good models taken for better; likewise for worse.
        images: Number of test images compared.
        seen: Number of test images left out, as the champion was trained or tuned on them or on near-duplicates.
        only_candidate: Number of images that only the candidate gets right.
        only_champion: Number of images that only the champion gets right.
        p_better: Exact one-sided p-value for a better candidate: by McNemar's test, or with groups by sign flips.
        p_worse: Exact one-sided p-value for a better champion, likewise.
        accuracy: Accuracy of the candidate on these images; None without images, like all that follow.
        champion_accuracy: Accuracy of the champion on these images.
        accuracy_difference: Accuracy of the candidate minus that of the champion.
        accuracy_interval: Its interval from the paired bootstrap; each end is a one-sided bound at `level`.
        log_loss_difference: Log loss of the candidate minus that of the champion, in nats; below 0 the candidate is
            better.
        log_loss_interval: Its interval, likewise.
        groups: Number of groups of these images, where the user names groups; None: images count as independent.
        differing_groups: Number of groups of which one model gets more images right than the other; None: likewise.
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
    groups: int | None = None
    differing_groups: int | None = None


@dataclasses.dataclass(frozen=True)
class ChanceComparison:
    """Comparison of a model with always predicting the most frequent class of the test images.

    Attributes:
        excluded: True if the model is shown to be better: the interval of its accuracy lies above `share`.
        label: Most frequent class.
        share: Share of the test images in that class.
        accuracy: Accuracy of the model.
        interval: Exact interval (Clopper and Pearson, with groups Korn and Graubard) of the accuracy; each end is a
            one-sided bound at `level`.
        level: Largest share of models no better than chance for which `excluded` is true.
        images: Number of test images.
        groups: Number of their groups, where the user names groups; None: images count as independent.
        unit: Word for a group; empty: likewise.
    """

    excluded: bool
    label: str
    share: float
    accuracy: float
    interval: Interval
    level: float
    images: int
    groups: int | None = None
    unit: str = ""

    def in_words(self) -> str:
        """The accuracy, its interval and the accuracy of chance as a clause."""
        low, high = self.interval
        always = f"{self.share:.4f} that always predicting {quote_name(self.label)} reaches"
        # Four digits, as rounding must not make the bound look equal to the share.
        return (
            f"accuracy {self.accuracy:.4f} on {self.images} test images{describe_groups(self.groups, self.unit)} "
            f"({100 * (1 - 2 * self.level):g} % interval {low:.4f} to {high:.4f}) "
            f"{'is above' if self.excluded else 'is not shown to be above'} the {always}"
        )


def compare_with_chance(
    correct: int,
    per_class: Mapping[str, int],
    level: float = SIGNIFICANCE_LEVEL,
    sample: GroupedSample | None = None,
) -> ChanceComparison:
    """Tests if an accuracy is better than chance, which is the share of the most frequent class.

    The test is exact and one-sided: at most the share `level` of models that are no better passes, on any number of
    images. With groups it is that of the effective number of images.

    Args:
        correct: Number of test images that the model gets right.
        per_class: Number of test images of each class; at least one image in all.
        level: Significance level of the test.
        sample: Groups of the images; None: images count as independent.
    """
    images = sum(per_class.values())
    label, most = max(per_class.items(), key=lambda item: item[1])
    if sample:
        interval = sample.interval(correct / images, images, 1 - 2 * level)
    else:
        interval = clopper_pearson_interval(correct, images, 1 - 2 * level)
    result = ChanceComparison(
        interval[0] > most / images, label, most / images, correct / images, interval, level, images
    )
    return dataclasses.replace(result, groups=sample.groups, unit=sample.unit) if sample else result


def compare_predictions(
    candidate: Predictions,
    champion: Predictions,
    level: float = SIGNIFICANCE_LEVEL,
    min_images: int = MIN_COMPARED_IMAGES,
) -> Comparison:
    """Compares the predictions of two models on the same test images.

    Accuracy decides, by McNemar's exact test: of equally good models, at most the share `level` is taken for better,
    on any number of images. Where the user names groups, such as patients, the sign-flip test on whole groups takes
    its place, and whole groups are resampled. A candidate with better accuracy but worse log loss, by the paired
    bootstrap, is not called better: it is surer of its mistakes.

    Args:
        candidate: Predictions of the candidate.
        champion: Predictions of the champion, on the same images in the same order.
        level: Significance level of the tests.
        min_images: Fewest images that must be left without those that the champion has seen.

    Raises:
        HeadstartError: If the predictions are of different images or classes.
    """
    if candidate.ids != champion.ids or candidate.classes != champion.classes:
        raise HeadstartError(
            "candidate and champion answer different images or classes; evaluate both on one test set"
        )
    kept = ~champion.seen
    images, seen = int(kept.sum()), int(champion.seen.sum())
    right, champion_right = candidate.right[kept], champion.right[kept]
    only_candidate, only_champion = int((right & ~champion_right).sum()), int((~right & champion_right).sum())
    clusters = candidate.clusters
    groups = None if clusters is None else clusters[kept]
    difference = right.astype(np.int64) - champion_right
    if groups is None:
        p_better, p_worse = mcnemar(only_candidate, only_champion)
    else:
        p_better, p_worse = sign_flip_test(difference, groups)
    counts = (level, images, seen, only_candidate, only_champion, p_better, p_worse)
    number, differing = _count_groups(difference, groups)
    if images < max(1, min_images):
        why = (
            f"only {images} of {len(kept)} test images are left that the champion has not seen; it takes {min_images}"
        )
        return Comparison(CANNOT_TELL, why, *counts, groups=number, differing_groups=differing)

    labels = candidate.labels[kept]
    differences = np.stack(
        [
            difference.astype(np.float64),
            cross_entropies(labels, candidate.probabilities[kept])
            - cross_entropies(labels, champion.probabilities[kept]),
        ],
        axis=1,
    )
    means = [differences.mean(axis=0)]
    means += [
        weights @ differences / weights.sum()
        for weights in draw_resamples(images, _SEED, choose_resample_count(images), groups)
    ]
    accuracy, log_loss = np.array(means).T
    inside = resampling_level(1 - 2 * level, groups)
    log_loss_interval = percentile_interval(log_loss, inside)
    found = f"{only_candidate} images are right with the candidate alone, {only_champion} with the champion alone"
    if number is not None:
        found += f"; the models differ on {differing} of {number} {pluralize(candidate.grouping, number)}"
    verdict, reason = _verdict(level, found, p_better, p_worse, log_loss_interval[0] > 0)
    return Comparison(
        verdict,
        reason,
        *counts,
        accuracy=float(right.mean()),
        champion_accuracy=float(champion_right.mean()),
        accuracy_difference=float(accuracy[0]),
        accuracy_interval=percentile_interval(accuracy, inside),
        log_loss_difference=float(log_loss[0]),
        log_loss_interval=log_loss_interval,
        groups=number,
        differing_groups=differing,
    )


def _count_groups(difference: NDArray[np.int64], groups: Groups | None) -> tuple[int, int] | tuple[None, None]:
    """Number of groups, and of those on which one model gets more images right than the other."""
    if groups is None:
        return None, None
    numbers, group = np.unique(groups, return_inverse=True)
    return len(numbers), int(np.count_nonzero(np.bincount(group, difference)))


def _verdict(level: float, counts: str, p_better: float, p_worse: float, surer_of_mistakes: bool) -> tuple[str, str]:
    if p_worse <= level:
        return WORSE, f"{counts} ({_p(p_worse)})"
    if p_better > level:
        return CANNOT_TELL, f"{counts}; equal models differ as much too often ({_p(min(p_better, p_worse))})"
    if surer_of_mistakes:
        return CANNOT_TELL, f"{counts} ({_p(p_better)}), but its log loss is higher: it is surer of its mistakes"
    return BETTER, f"{counts} ({_p(p_better)})"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"
