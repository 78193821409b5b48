"""The distance is the one of the k-th neighbour, and the threshold keeps what it promises."""

import math

import numpy as np
import pytest

from headstart.components.core.artifacts.reference import ReferenceFeatures
from headstart.components.core.metrics.false_alarms import check_false_alarm
from headstart.components.core.metrics.unfamiliarity import (
    choose_threshold,
    compute_unfamiliarity,
    count_images_needed,
    scale_to_unit_length,
)
from headstart.components.core.util.errors import HeadstartError


def test_the_distance_is_to_the_kth_nearest_whatever_the_length() -> None:
    angles = np.radians([0, 10, 20, 90])
    reference = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    images = 7 * np.array([[1, 0], [-1, 0], [0, 0]], np.float32)
    for neighbours, angle in ((1, 0), (2, 10), (3, 20), (4, 90)):
        found = compute_unfamiliarity(images[:1], ReferenceFeatures(reference, neighbours))
        assert found == pytest.approx([1 - math.cos(math.radians(angle))], abs=1e-6)
    opposite, nothing = compute_unfamiliarity(images[1:], ReferenceFeatures(reference, 4))
    # Features of zeros have no direction.
    assert (opposite, nothing) == (pytest.approx(2), 1)


def test_a_reference_of_another_network_is_refused() -> None:
    reference = ReferenceFeatures(scale_to_unit_length(np.ones((6, 3))), 5)
    with pytest.raises(HeadstartError, match="are 3 for an image, its network computes 4"):
        compute_unfamiliarity(np.ones((2, 4), np.float32), reference)


@pytest.mark.parametrize("images", [30, 299, 500, 2_000])
def test_the_threshold_keeps_its_promise_in_nineteen_of_twenty_draws(images: int) -> None:
    # The scores are uniform, so that the share above a threshold is known.
    random, draws = np.random.default_rng(images), 2_000
    chosen = [choose_threshold(random.random(images), 0.01) for _ in range(draws)]
    bound = chosen[0].bound
    kept = np.mean([1 - each.threshold <= bound for each in chosen])
    assert kept == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / draws))
    assert (bound <= 0.01) == (images >= chosen[0].validation_needed == 299)


def test_the_least_threshold_that_keeps_it_is_taken() -> None:
    scores = np.arange(500.0) / 500
    chosen = choose_threshold(scores, 0.01)
    assert chosen.threshold == scores[-2], "the largest but one: of 473 images the second largest is enough"
    assert choose_threshold(scores, 0.05).threshold < chosen.threshold


def test_too_few_images_give_the_largest_score_and_its_bound() -> None:
    chosen = choose_threshold(np.array([0.1, 0.3, 0.2]), 0.01)
    assert chosen.threshold == 0.3
    assert chosen.bound == pytest.approx(1 - 0.05 ** (1 / 3))
    assert (chosen.validation_images, chosen.validation_needed) == (3, 299)


@pytest.mark.parametrize(("false_alarm", "needed"), [(0.01, 299), (0.05, 59), (0.1, 29), (0.49, 5)])
def test_images_needed_are_the_fewest_that_keep_it(false_alarm: float, needed: int) -> None:
    assert count_images_needed(false_alarm) == needed
    for images in (needed - 1, needed):
        assert (choose_threshold(np.zeros(images), false_alarm).bound <= false_alarm) == (images == needed)


@pytest.mark.parametrize("value", [0, -0.01, 0.5, 1, float("nan")])
def test_a_rate_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(HeadstartError, match="give a share above 0 and below"):
        check_false_alarm(value)


def test_threshold_of_patients_promises_about_patients() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(400), 5)
    scores = random.random(400)[group] + 0.1 * random.random(2000)
    single, grouped = choose_threshold(scores, 0.01), choose_threshold(scores, 0.01, group, "patient")
    assert grouped.threshold >= single.threshold and (grouped.validation_groups, grouped.unit) == (400, "patient")
    largest = np.array([scores[group == each].max() for each in range(400)])
    assert grouped.threshold == choose_threshold(largest, 0.01).threshold
    few = choose_threshold(scores[:60], 0.01, group[:60], "patient")
    assert few.threshold == scores[:60].max() and few.bound == pytest.approx(1 - 0.05 ** (1 / 12))
    assert single.validation_groups is None and single.unit == ""
