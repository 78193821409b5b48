"""Coverage and precision over the threshold, for all images and for each predicted class."""

import numpy as np
import pytest
from support.evaluations import draw_predictions

from headstart.components.core.metrics.statistics import clopper_pearson_lower_bounds
from headstart.components.evaluate_model.thresholds import (
    SLIDER_STEPS,
    TABLE_THRESHOLDS,
    compute_class_thresholds,
    compute_slider,
    count_confidences,
)


def test_each_class_counts_its_own_predictions() -> None:
    predictions = draw_predictions(500, ["cat", "dog", "fox"], 0)
    confidence = predictions.probabilities.max(axis=1)
    slider = compute_slider(predictions, predictions.probabilities)
    classes = compute_class_thresholds(predictions, predictions.probabilities, 10)
    assert [each.name for each in classes] == ["cat", "dog", "fox"]
    for at, each in enumerate(classes):
        own = predictions.predicted == at
        assert each.images == own.sum()
        for threshold, (answered, right) in zip(TABLE_THRESHOLDS, each.points, strict=True):
            reached = own & (confidence >= threshold)
            assert (answered, right) == (reached.sum(), (reached & predictions.right).sum())
            assert each.steps[round(threshold * SLIDER_STEPS)][:2] == (answered, right)
        answered, right, least = each.steps[150]
        assert least == pytest.approx(
            clopper_pearson_lower_bounds(np.array([right]), np.array([answered]))[0], abs=1e-5
        )
    for step, (threshold, answered, right, _) in enumerate(slider):
        assert threshold == step / SLIDER_STEPS
        assert answered == sum(each.steps[step][0] for each in classes)
        assert right == sum(each.steps[step][1] for each in classes)


def test_the_classes_predicted_most_are_kept() -> None:
    predictions = draw_predictions(300, [str(number) for number in range(20)], 0)
    sizes = np.bincount(predictions.predicted, minlength=20)
    kept = compute_class_thresholds(predictions, predictions.probabilities, 5)
    assert sorted(each.images for each in kept) == sorted(sizes.tolist())[-5:]


def test_histogram_counts_every_image() -> None:
    predictions = draw_predictions(400, ["cat", "dog", "fox", "owl"], 0)
    bins = count_confidences(predictions, predictions.probabilities)
    assert bins[0][0] == 0.25 and bins[-1][1] == 1
    assert sum(right for _, _, right, _ in bins) == predictions.right.sum()
    assert sum(wrong for _, _, _, wrong in bins) == (~predictions.right).sum()
    confidence = predictions.probabilities.max(axis=1)
    low, high, right, _ = bins[12]
    assert right == (predictions.right & (confidence >= low) & (confidence < high)).sum()
