"""What folds choose for the training on all images."""

import pytest

from headstart.components.core.artifacts.cross_validation import PhaseResult
from headstart.components.core.training.fold_choice import choose_by_folds


def result(losses: list[float], share: float = 1.0, ridge: bool = False) -> PhaseResult:
    return PhaseResult(losses, [0.5] * len(losses), min(losses, default=1.0), 0.5, 1.0, ridge, share)


def test_epochs_are_those_of_the_lowest_mean_loss_and_a_fold_that_stopped_goes_on() -> None:
    # After three epochs the means are 0.9, 0.55 and 0.45, and then the first fold's 0.6 counts on.
    chosen = choose_by_folds([result([0.9, 0.5, 0.6]), result([0.9, 0.6, 0.3, 0.5])])
    assert chosen.losses == pytest.approx([0.9, 0.55, 0.45])
    assert chosen.epochs == 3
    assert chosen.validation_loss == pytest.approx((0.5 + 0.3) / 2)


def test_first_of_equal_epochs_is_taken() -> None:
    assert choose_by_folds([result([0.5, 0.4, 0.4])]).epochs == 2


def test_share_is_the_median_and_ridge_the_choice_of_most() -> None:
    chosen = choose_by_folds([result([0.5], 0.0), result([0.5], 0.75, ridge=True), result([0.5], 1.0, ridge=True)])
    assert chosen.share == 0.75 and chosen.ridge
    assert not choose_by_folds([result([0.5], ridge=True), result([0.5])]).ridge, "half are not most"


def test_without_a_finite_epoch_nothing_is_trained() -> None:
    chosen = choose_by_folds([result([], 0.0), result([], 0.0)])
    assert chosen.epochs == 0 and chosen.share == 0
