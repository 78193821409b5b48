"""Calibration of a model in words, for the evaluation report and the model card."""

from typing import Any

_SHOWN_TEMPERATURES = (0.01, 100.0)


def is_scaled(calibration: dict[str, Any]) -> bool:
    """True if the probabilities are scaled, which those of earlier versions always are.

    Args:
        calibration: Key `calibration` of `metrics.json`; an earlier version may have written it.
    """
    return bool(calibration.get("applied", True))


def describe_temperature(calibration: dict[str, Any]) -> str:
    """Whether the probabilities are scaled, by which temperature, and why; one or two sentences.

    Args:
        calibration: Key `calibration` of `metrics.json`; an earlier version may have written it.
    """
    images, used = f"{calibration['validation_images']:,} validation images", _number(calibration["temperature"])
    if calibration.get("temperature_interval") is None:
        return f"The logits are divided by a temperature of {used}, fitted on {images}."
    fitted, (low, high) = calibration["fitted_temperature"], map(_number, calibration["temperature_interval"])
    best = f"{_number(fitted)} (95 % interval {low} to {high})"
    if not is_scaled(calibration):
        return (
            f"Temperature scaling is not applied: {images} do not show that it is needed. Their best temperature is "
            f"{best}, and the interval contains 1."
        )
    return (
        f"The model is {'overconfident' if fitted > 1 else 'underconfident'} on {images}: their best temperature is "
        f"{best}, and the interval excludes 1. The logits are divided by {used}, as the estimate is shrunk towards 1."
    )


def describe_change(calibration: dict[str, Any]) -> str:
    """Effect of temperature scaling on the log loss of test images in a sentence; empty if it is not known.

    Args:
        calibration: Key `calibration` of `metrics.json`; an earlier version may have written it.
    """
    change = calibration.get("change")
    if not change:
        return ""
    low, high = change["log_loss_interval"]
    by = f"{abs(change['log_loss']):.4f} (95 % interval of the change {low:+.4f} to {high:+.4f})"
    verb = "lowers" if change["log_loss"] < 0 else "raises"
    if low <= 0 <= high:
        return (
            f"Whether it helps on the test images cannot be told: there it {verb} the log loss by {by}, and the "
            "interval contains 0."
        )
    if verb == "raises":
        return f"On the test images it does harm: it raises the log loss by {by}."
    return f"On the test images it lowers the log loss by {by}."


def _number(temperature: float) -> str:
    least, most = _SHOWN_TEMPERATURES
    if temperature < least:
        return f"below {least:g}"
    return f"above {most:g}" if temperature > most else f"{temperature:.2f}"
