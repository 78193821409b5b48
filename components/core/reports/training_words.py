"""How a model got its weights, in words, for the evaluation report and the model card."""

from typing import Any

from headstart.components.core.artifacts.model import FINE_TUNED_SHARE, RIDGE_HEAD

HEAD_KEPT = "Fine-tuning did not lower the validation loss: the result is the head-trained model."


def describe_training(model: dict[str, Any]) -> str:
    """How the model got its weights, in one or two sentences.

    Args:
        model: Content of `model.json`; an earlier version may have written it.
    """
    stage, metrics = model["stage"], model["metrics"]
    ridge = " The head's weights are those of ridge regression, as no epoch had a lower validation loss."
    head = ridge if metrics.get(RIDGE_HEAD) else ""
    if stage == "head":
        return f"A head was trained on the frozen backbone.{head}"
    if stage != "fine_tuning":
        return "The network was trained from scratch, from random weights."
    share = metrics.get(FINE_TUNED_SHARE)
    if share is None:
        return f"The last phase was fine-tuning.{head}"
    if share == 0:
        return f"{HEAD_KEPT} Its share of fine-tuned weights is 0.{head}"
    if share == 1:
        return "The backbone was fine-tuned; the weights are those of fine-tuning alone."
    return (
        f"Weight interpolation (WiSE-FT): the result is {100 * share:.0f} % fine-tuned and {100 - 100 * share:.0f} % "
        "head-trained weights; validation images chose the share."
    )
