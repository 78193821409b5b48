import json

import numpy as np
import pytest

from headstart.components.evaluate_model.classification_metrics import compute_metrics
from headstart.components.evaluate_model.ranking import precision_recall, roc


def test_figures_of_a_small_example() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    figures = compute_metrics(labels, probabilities, ["cat", "dog"])
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
    figures = compute_metrics(np.array(labels), np.eye(classes)[predicted], names)
    assert figures.balanced_accuracy == pytest.approx(balanced)
    assert np.isfinite(figures.log_loss)
    json.dumps(figures.as_json(), allow_nan=False)


def test_roc_is_finite_and_runs_from_corner_to_corner() -> None:
    labels, second = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    false_positive, true_positive, thresholds = roc(labels == 1, second)
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
    assert np.isfinite(thresholds).all()
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(0.75)
    recalls, precisions, thresholds = precision_recall(labels == 1, second)
    assert (recalls[0], precisions[0], recalls[-1], precisions[-1]) == (0, 1, 1, 0.5)
    assert np.isfinite(thresholds).all() and len(thresholds) == len(recalls)
