"""Statistics of images in groups, against brute force, formulas of others, and simulated patients."""

import itertools

import numpy as np
import pytest
from scipy.stats import beta, binomtest, t

from headstart.components.core.metrics.calibration import estimate_temperature
from headstart.components.core.metrics.clusters import (
    count_effective_images,
    count_groups_needed,
    korn_graubard_interval,
    korn_graubard_lower_bounds,
    mean_share_interval,
    share_interval,
    sign_flip_test,
)
from headstart.components.core.metrics.statistics import (
    clopper_pearson_interval,
    draw_resamples,
    mcnemar,
    resampling_level,
    wilson_interval,
)
from headstart.components.evaluate_model.classification_metrics import compute_metrics
from headstart.components.evaluate_model.reliability import compute_abstentions, compute_reliability


def patients(groups: int, images: int, accuracy: float, correlation: float, rng: np.random.Generator) -> tuple:
    """Whether each image of each patient is right; images of one patient are correlated (beta-binomial)."""
    total = 1 / correlation - 1
    own = rng.beta(accuracy * total, (1 - accuracy) * total, groups)
    group = np.repeat(np.arange(groups), images)
    return rng.random(len(group)) < own[group], group


def test_effective_images_by_hand() -> None:
    right = np.array([1, 1, 1, 0, 1, 1, 0, 0, 1], bool)
    group = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    sums = np.array([3 - 2, 2 - 2, 1 - 2]) / 9
    variance = 3 / 2 * np.square(sums).sum()
    assert count_effective_images(right, group) == pytest.approx((2 / 3 * 1 / 3) / variance)
    assert count_effective_images(right, np.arange(9)) == pytest.approx(8), "n - 1, as of any estimated variance"
    assert count_effective_images(right, np.zeros(9, int)) == pytest.approx(1)
    assert count_effective_images(np.ones(9, bool), group) == pytest.approx(3), "all right: a group is one image"
    assert count_effective_images(np.ones(4, bool), np.array([0, 0, 0, 1])) == pytest.approx(16 / 10)


def test_interval_is_that_of_korn_and_graubard() -> None:
    right, group = patients(12, 7, 0.8, 0.5, np.random.default_rng(3))
    share, images = right.mean(), len(right)
    reduced = count_effective_images(right, group) * (t.ppf(0.025, images - 1) / t.ppf(0.025, 11)) ** 2
    expected = (
        beta.ppf(0.025, share * reduced, reduced - share * reduced + 1),
        beta.ppf(0.975, share * reduced + 1, reduced - share * reduced),
    )
    assert korn_graubard_interval(right, group) == pytest.approx(expected)
    low, high = wilson_interval(int(right.sum()), images)
    assert expected[0] < low and high < expected[1], "images of one patient are fewer than they look"


def test_interval_of_one_image_a_group_is_nearly_clopper_and_pearson() -> None:
    right = np.arange(400) % 9 > 0
    assert korn_graubard_interval(right, np.arange(400)) == pytest.approx(
        clopper_pearson_interval(int(right.sum()), 400), abs=1e-3
    )


@pytest.mark.parametrize("value", [True, False])
def test_interval_of_one_group_or_of_nothing_says_nothing(value: bool) -> None:
    assert korn_graubard_interval(np.full(50, value), np.zeros(50, int)) == (0, 1)
    assert share_interval(np.empty(0, bool), np.empty(0, int)) == (0, 1)


def test_mean_of_recalls_has_the_variance_of_its_groups() -> None:
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(100):
        right, group = patients(30, 6, 0.8, 0.4, rng)
        labels = group % 2
        share = np.mean([right[labels == each].mean() for each in (0, 1)])
        estimates.append(share * (1 - share) / count_effective_images(right, group, labels))
    # Two recalls of 15 patients with 6 images each, whose design effect is 1 + 5 * 0.4.
    assert np.mean(estimates) == pytest.approx(2 / 4 * 0.8 * 0.2 * 3 / 90, rel=0.1)


def test_mean_of_recalls_knows_little_of_a_class_of_one_patient() -> None:
    labels = np.repeat([0, 1], [60, 10])
    right, group = np.arange(70) % 10 > 0, np.r_[np.arange(60) // 5, np.full(10, 12)]
    low, high = mean_share_interval(right, labels, group)
    assert low < 0.5 and high > 0.9, "its recall could be anything"
    crossed = np.r_[np.arange(60) // 5, np.arange(10)]
    assert mean_share_interval(right, labels, crossed)[0] > 0.7


@pytest.mark.parametrize("seed", range(4))
def test_sign_flips_equal_all_flips_tried_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.sort(rng.integers(0, 9, 40))
    differences = rng.integers(-1, 2, 40)
    sums = np.bincount(group, differences)
    flipped = np.array(list(itertools.product([-1, 1], repeat=len(sums)))) @ np.abs(sums)
    expected = np.mean(flipped >= sums.sum()), np.mean(flipped <= sums.sum())
    assert sign_flip_test(differences, group) == pytest.approx(expected)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (30, 12), (3, 400)])
def test_sign_flips_of_single_images_are_mcnemars_test(first: int, second: int) -> None:
    differences = np.repeat([1, -1, 0], [first, second, 20])
    found = sign_flip_test(differences, np.arange(len(differences)))
    assert found == pytest.approx(mcnemar(first, second))
    if first + second:
        assert found[0] == pytest.approx(binomtest(first, first + second, alternative="greater").pvalue)


def test_one_patient_proves_nothing() -> None:
    assert sign_flip_test(np.ones(60, int), np.zeros(60, int)) == (0.5, 1.0)
    assert mcnemar(60, 0)[0] < 1e-10


def test_equal_models_are_told_apart_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    wrongly = np.zeros(2)
    for _ in range(400):
        first, group = patients(20, 10, 0.8, 0.5, rng)
        second, _ = patients(20, 10, 0.8, 0.5, rng)
        difference = first.astype(int) - second
        single = mcnemar(int((difference > 0).sum()), int((difference < 0).sum()))
        wrongly += sign_flip_test(difference, group)[0] <= 0.05, single[0] <= 0.05
    assert wrongly[0] / 400 <= 0.075 and wrongly[1] / 400 > 0.1


def test_resamples_hold_whole_groups() -> None:
    group = np.array([5, 5, 5, 2, 2, 9])
    drawn = list(draw_resamples(6, 0, 200, group))
    for counts in drawn:
        assert {len(set(counts[group == each])) for each in (5, 2, 9)} == {1}
        assert counts[0] + counts[3] + counts[5] == 3
    assert len({int(counts.sum()) for counts in drawn}) > 1
    plain, single = (list(draw_resamples(6, 0, 5, each)) for each in (None, np.arange(6)))
    assert np.array_equal(plain, single)


def test_few_groups_widen_bootstrap_intervals() -> None:
    assert resampling_level(0.95, None) == 0.95
    levels = [resampling_level(0.95, np.arange(groups)) for groups in (1, 2, 5, 20, 5000)]
    assert levels == sorted(levels, reverse=True) and levels[0] == 1 and levels[-1] == pytest.approx(0.95, abs=1e-4)


def test_metrics_with_groups_have_the_same_values_and_other_intervals() -> None:
    rng = np.random.default_rng(1)
    right, group = patients(15, 12, 0.85, 0.5, rng)
    labels = group % 3
    predicted = np.where(right, labels, (labels + 1) % 3)
    probabilities = np.full((len(labels), 3), 0.1)
    probabilities[np.arange(len(labels)), predicted] = 0.8
    names = ["a", "b", "c"]
    single, grouped = (compute_metrics(labels, probabilities, names, each) for each in (None, group))
    assert (single.groups, single.effective_images) == (None, None)
    assert grouped.groups == 15 and 15 <= (grouped.effective_images or 0) < 90
    for name in ("accuracy", "balanced_accuracy", "log_loss"):
        assert getattr(single, name) == getattr(grouped, name)
        narrow, wide = (np.ptp(getattr(each, f"{name}_interval")) for each in (single, grouped))
        assert wide > 1.3 * narrow, name
    assert np.ptp(grouped.macro.f1_interval) > 1.3 * np.ptp(single.macro.f1_interval)
    assert grouped.weighted.recall_interval == grouped.accuracy_interval
    for name in names:
        before, after = single.per_class[name], grouped.per_class[name]
        assert before.recall == after.recall and np.ptp(after.recall_interval) > np.ptp(before.recall_interval)
    ordered, shuffled = (compute_reliability(labels, probabilities, each) for each in (None, group))
    assert np.ptp(shuffled.log_loss_interval) > 1.3 * np.ptp(ordered.log_loss_interval)
    assert shuffled.ece == ordered.ece


def test_lower_bounds_of_all_prefixes_are_those_of_each() -> None:
    right, group = patients(9, 8, 0.8, 0.4, np.random.default_rng(5))
    shuffled = np.random.default_rng(0).permutation(len(right))
    right, group = right[shuffled], group[shuffled]
    found = korn_graubard_lower_bounds(right, group)
    expected = [korn_graubard_interval(right[:end], group[:end], 0.9)[0] for end in range(1, len(right) + 1)]
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(korn_graubard_lower_bounds(right[:0], group[:0])) == 0


def test_groups_needed_are_the_fewest_that_reach_the_bound() -> None:
    needed = count_groups_needed(59)
    assert needed > 59
    bounds = [
        korn_graubard_interval(np.ones(50 * groups, bool), np.repeat(np.arange(groups), 50), 0.9)[0]
        for groups in (needed - 2, needed)
    ]
    assert bounds[0] < 0.95 <= bounds[1]


def test_temperature_of_few_patients_is_no_evidence() -> None:
    rng = np.random.default_rng(0)
    right, group = patients(8, 40, 0.8, 0.5, rng)
    labels = np.zeros(len(right), int)
    logits = np.where(right, 1, -1)[:, None] * np.array([2.5, -2.5])
    single, grouped = (estimate_temperature(labels, logits, each) for each in (None, group))
    assert single.fitted == grouped.fitted
    assert single.p_value is not None and grouped.p_value is not None and grouped.p_value > single.p_value
    alone = estimate_temperature(labels, logits, np.arange(len(labels)))
    assert alone.p_value == pytest.approx(single.p_value, rel=0.5, abs=1e-3)
    one = estimate_temperature(labels, logits, np.zeros(len(labels), int))
    assert not one.supported and one.temperature == 1


def test_abstention_asks_for_patients_not_images() -> None:
    labels = np.zeros(600, int)
    sure = np.tile([0.95, 0.05], (600, 1))
    single = compute_abstentions((labels, sure), (labels, sure))
    few = np.repeat(np.arange(20), 30)
    grouped = compute_abstentions((labels, sure), (labels, sure), few, few, "patient")
    assert (single[0].unit, grouped[0].unit) == ("", "patient")
    assert single[0].threshold == 0.95 and single[0].validation_needed == 59
    assert grouped[0].threshold is None and grouped[0].validation_needed == count_groups_needed(59)
    many = np.repeat(np.arange(100), 6)
    enough = compute_abstentions((labels, sure), (labels, sure), many, many)[0]
    assert enough.threshold == 0.95
    assert enough.precision_lower is not None and single[0].precision_lower is not None
    assert 0.95 <= enough.precision_lower < single[0].precision_lower
