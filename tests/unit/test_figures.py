import json
import math

import numpy as np
import pytest

from headstart.components.core.statistics import wilson
from headstart.components.evaluate_model.figures import figures_of, roc


def by_hand(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's formula, written out."""
    z, share = 1.959963984540054, successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return tuple((centre + sign * spread) / (1 + z * z / trials) for sign in (-1, 1))


@pytest.mark.parametrize(("successes", "trials"), [(965, 1000), (0, 10), (10, 10), (1, 2), (1, 1)])
def test_wilson_is_the_formula(successes: int, trials: int) -> None:
    assert wilson(successes, trials) == pytest.approx(by_hand(successes, trials), abs=1e-9)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_figures_of_a_small_example() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    figures = figures_of(labels, probabilities, ["cat", "dog"])
    assert figures.confusion_matrix == [[2, 1], [0, 1]]
    assert (figures.images, figures.correct, figures.accuracy) == (4, 3, 0.75)
    assert figures.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert figures.log_loss == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.4, 0.7])), abs=1e-6)
    cat, dog = figures.per_class["cat"], figures.per_class["dog"]
    assert (cat.images, cat.recall, cat.precision) == (3, pytest.approx(2 / 3), 1.0)
    assert (dog.images, dog.recall, dog.precision, dog.f1) == (1, 1.0, 0.5, pytest.approx(2 / 3))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("labels", "predicted", "classes", "balanced"),
    [
        ([0, 0, 0], [0, 0, 0], 2, 1.0),
        ([0, 0, 0], [1, 1, 1], 2, 0.0),
        ([0, 0], [0, 1], 3, 0.5),
        ([0, 1], [1, 0], 2, 0.0),
        ([0], [0], 2, 1.0),
        (list(range(1000)), list(range(1000)), 1000, 1.0),
    ],
)
def test_degenerate_input_gives_numbers_without_warnings(
    labels: list[int], predicted: list[int], classes: int, balanced: float
) -> None:
    names = [f"class {number}" for number in range(classes)]
    figures = figures_of(np.array(labels), np.eye(classes)[predicted], names)
    assert figures.balanced_accuracy == pytest.approx(balanced)
    assert np.isfinite(figures.log_loss)
    json.dumps(figures.as_json(), allow_nan=False)


def test_roc_is_finite_and_runs_from_corner_to_corner() -> None:
    labels, second = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    false_positive, true_positive, thresholds = roc(labels, np.stack([1 - second, second], axis=1))
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
    assert np.isfinite(thresholds).all()
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(0.75)
