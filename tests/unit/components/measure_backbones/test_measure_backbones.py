"""Images that a budget suffices for. Rates are given here; tests/local measures them."""

import pytest

from headstart.components.core.artifacts.backbone_assessment import MeasuredBackbone
from headstart.components.core.util.errors import HeadstartError
from headstart.components.measure_backbones.step import Budget, plan_assessment

IMAGES = (800, 200)
FAST, SLOW = MeasuredBackbone("fast", 1, 100.0), MeasuredBackbone("slow", 2, 10.0)


def planned(budget: Budget, views: tuple[int, int] = (4, 4)) -> tuple[float, bool]:
    found = plan_assessment([FAST, SLOW], IMAGES, views, budget)
    assert (found.backbones, found.images) == ([FAST, SLOW], 1000)
    return found.share, found.as_run


def test_without_a_budget_features_are_those_of_a_run_if_they_can_be_kept() -> None:
    assert planned(Budget()) == (1.0, True)
    assert planned(Budget(keep=False)) == (1.0, False)
    assert planned(Budget(), views=(4, 0)) == (1.0, False), "a run that trains end to end has no features to keep"


def test_a_shorter_budget_leaves_views_out_and_then_images() -> None:
    # 3,400 passes at 100 and at 10 images/s take 374 s, of which 0.8 of the budget may be used.
    assert planned(Budget(468)) == (1.0, True)
    assert planned(Budget(467)) == (1.0, False)
    # 1,000 passes take 110 s.
    assert planned(Budget(138)) == (1.0, False)
    share, as_run = planned(Budget(100))
    assert (share, as_run) == (pytest.approx(0.8 * 100 / 110 * 1000 / 800), False)
    assert planned(Budget(137))[0] == 0.95, "some training images are left for the third part of the split"


def test_side_by_side_the_slowest_backbone_decides() -> None:
    assert planned(Budget(425.1, side_by_side=True)) == (1.0, True)
    assert planned(Budget(424.9, side_by_side=True)) == (1.0, False)


def test_a_budget_for_too_few_images_is_refused() -> None:
    with pytest.raises(HeadstartError, match=r"suffices for 36 images with each backbone, and ranking takes 50"):
        planned(Budget(5))
