"""Evaluation from predictions out of fold."""

import numpy as np
import pytest

from headstart.components.core.artifacts.cross_validation import OutOfFold
from headstart.components.core.metrics.calibration import softmax
from headstart.components.evaluate_model.classification_metrics import compute_metrics
from headstart.components.evaluate_model.cross_validation import (
    calibrate_out_of_fold,
    compute_abstentions_out_of_fold,
    describe_cross_validation,
    widen_intervals,
)
from headstart.components.evaluate_model.reliability import choose_abstention


def predict(images: int, folds: int, temperatures: list[float], seed: int = 0) -> tuple[np.ndarray, OutOfFold]:
    """Labels and predictions of an overconfident model, whose logits are three times too large."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, images)
    logits = random.normal(size=(images, 2))
    logits[np.arange(images), labels] += 1.5
    fold = np.arange(images) % folds
    scores = random.random(images)
    ids = [str(number) for number in range(images)]
    return labels, OutOfFold(ids, fold, np.array(temperatures)[fold], softmax(3 * logits), scores)


def test_folds_are_counted() -> None:
    labels, predicted = predict(90, 3, [1.0, 2.0, 3.0])
    found = describe_cross_validation(labels, predicted)
    assert found.folds == 3 and [each.images for each in found.by_fold] == [30, 30, 30]
    assert [each.temperature for each in found.by_fold] == [1.0, 2.0, 3.0]
    right = predicted.probabilities.argmax(axis=1) == labels
    assert sum(each.correct for each in found.by_fold) == right.sum()


def test_every_interval_allows_for_the_folds_and_nothing_else_changes() -> None:
    labels, predicted = predict(120, 5, [1.0] * 5)
    plain = compute_metrics(labels, predicted.probabilities, ["cat", "dog"])
    wide = widen_intervals(plain, 5)
    (low, high), factor = plain.accuracy_interval, 1.5**0.5
    assert wide.accuracy_interval == pytest.approx(
        (plain.accuracy - factor * (plain.accuracy - low), plain.accuracy + factor * (high - plain.accuracy))
    )
    assert wide.weighted.recall_interval == wide.accuracy_interval
    assert wide.macro.recall_interval == wide.balanced_accuracy_interval
    before, after = flatten(plain.as_json()), flatten(wide.as_json())
    changed = {name for name, value in before.items() if after[name] != value}
    assert changed == {name for name in before if "_interval" in name}
    assert {name for name in changed if name.startswith("per_class.dog.")} and any(
        "confusions" in each for each in changed
    )
    assert wide.log_loss_interval[1] > plain.log_loss_interval[1]


def flatten(value: object, name: str = "") -> dict[str, object]:
    """All values of nested records by their names, which points join."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            key: each for part, inner in items for key, each in flatten(inner, f"{name}.{part}".strip(".")).items()
        }
    return {name: value}


def test_calibration_is_measured_with_the_temperatures_of_the_folds() -> None:
    labels, predicted = predict(400, 2, [3.0, 3.0])
    calibration, scaled = calibrate_out_of_fold(labels, predicted)
    assert calibration.applied and calibration.temperature > 1.5
    assert calibration.after.log_loss < calibration.before.log_loss
    # The same final temperature, but folds that found none: nothing is gained on their images.
    _, without = predict(400, 2, [1.0, 1.0])
    unscaled, same = calibrate_out_of_fold(labels, without)
    assert unscaled.temperature == calibration.temperature
    assert np.allclose(same, without.probabilities, atol=1e-6) and not np.allclose(same, scaled)
    assert unscaled.after.log_loss == pytest.approx(unscaled.before.log_loss, abs=1e-6)


def test_images_of_a_fold_have_no_part_in_the_threshold_that_they_are_measured_by() -> None:
    labels = np.zeros(400, np.int64)
    folds = np.arange(400) % 2
    sure = np.where(folds == 0, 0.99, 0.6)
    scaled = np.stack([sure, 1 - sure], axis=1)
    # All images of the first fold are right, and half of the second.
    labels[(folds == 1) & (np.arange(400) % 4 == 1)] = 1
    (found, _) = compute_abstentions_out_of_fold(labels, scaled, folds)
    assert found.threshold == 0.99 == choose_abstention(0.95, (labels, scaled)).threshold
    # Without the first fold no threshold holds; without the second 0.99 does, which none of its images reaches.
    assert found.answered == 0
