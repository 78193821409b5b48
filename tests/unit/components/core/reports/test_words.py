"""Sentences that the report and the model card share."""

from typing import Any

import pytest

from headstart.components.core.reports.calibration_words import describe_change, describe_temperature
from headstart.components.core.reports.group_words import describe_grouped_test, warn_of_few_groups
from headstart.components.core.reports.training_words import describe_training


@pytest.mark.parametrize(
    ("stage", "metrics", "words"),
    [
        ("head", {}, "A head was trained on the frozen backbone."),
        ("head", {"ridge_head": 1.0}, "The head's weights are those of ridge regression"),
        ("from_scratch", {}, "trained from scratch"),
        ("fine_tuning", {"fine_tuned_share": 0.0}, "the result is the head-trained model"),
        (
            "fine_tuning",
            {"fine_tuned_share": 0.0, "ridge_head": 1.0},
            "The head's weights are those of ridge regression",
        ),
        ("fine_tuning", {"fine_tuned_share": 0.25}, "25 % fine-tuned and 75 % head-trained weights"),
        ("fine_tuning", {"fine_tuned_share": 1.0}, "the weights are those of fine-tuning alone"),
        ("fine_tuning", {}, "The last phase was fine-tuning."),
    ],
)
def test_training_is_described_by_the_weights_that_were_kept(
    stage: str, metrics: dict[str, float], words: str
) -> None:
    assert words in describe_training({"stage": stage, "metrics": metrics})


def calibration(**values: Any) -> dict[str, Any]:
    return {
        "temperature": 1.4,
        "applied": True,
        "fitted_temperature": 1.5,
        "temperature_interval": (1.1, 2.0),
        "validation_images": 1200,
        "change": None,
    } | values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            calibration(),
            "overconfident on 1,200 validation images: their best temperature is 1.50 (95 % interval 1.10 to",
        ),
        (calibration(fitted_temperature=0.5, temperature_interval=(0.3, 0.8)), "underconfident"),
        (calibration(applied=False, fitted_temperature=1e-3, temperature_interval=(1e-3, 1.1)), "below 0.01 (95 %"),
        (calibration(applied=False), "Temperature scaling is not applied"),
        ({"temperature": 1.3, "validation_images": 50}, "divided by a temperature of 1.30, fitted on 50 validation"),
    ],
)
def test_temperature_is_described(values: dict[str, Any], words: str) -> None:
    assert words in describe_temperature(values)


@pytest.mark.parametrize(
    ("change", "interval", "words"),
    [
        (-0.01, (-0.02, -0.001), "On the test images it lowers the log loss by 0.0100"),
        (0.01, (0.001, 0.02), "it does harm: it raises the log loss by 0.0100"),
        (0.01, (-0.001, 0.02), "cannot be told: there it raises the log loss"),
        (-0.01, (-0.03, 0.02), "cannot be told: there it lowers the log loss"),
    ],
)
def test_effect_of_scaling_is_said_with_its_certainty(
    change: float, interval: tuple[float, float], words: str
) -> None:
    assert words in describe_change(calibration(change={"log_loss": change, "log_loss_interval": interval}))
    assert describe_change({"temperature": 1.3, "validation_images": 50}) == ""


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (1, "The 87 test images are of one patient, so nothing is known of other patients"),
        (12, "The 87 test images are of 12 patients: with fewer than 20 patients intervals are rough"),
        (40, ""),
    ],
)
def test_groups_are_counted_and_few_are_warned_of(groups: int, words: str) -> None:
    metrics = {"grouping": "patient", "test": {"images": 87, "groups": groups, "effective_images": 31.4}}
    first, *warning = describe_grouped_test(metrics)
    assert "count as 31 independent images" in first
    assert bool(warn_of_few_groups(metrics)) == bool(warning) == bool(words)
    assert not words or warning[0].startswith(words)
    assert describe_grouped_test({"test": {"images": 87}}) == []
