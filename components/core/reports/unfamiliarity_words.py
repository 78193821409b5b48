"""Threshold of unfamiliar images in words, for the evaluation report, the model card and the terminal."""

from typing import Any


def is_promised(unfamiliarity: dict[str, Any]) -> bool:
    """True if there were enough validation images for the wanted rate of false alarms.

    Args:
        unfamiliarity: Key `unfamiliarity` of `metrics.json`.
    """
    return bool(unfamiliarity["bound"] <= unfamiliarity["wanted"])


def describe_promise(unfamiliarity: dict[str, Any]) -> str:
    """The share of images like the validation images that are flagged at most, in a clause.

    Args:
        unfamiliarity: Key `unfamiliarity` of `metrics.json`.
    """
    if is_promised(unfamiliarity):
        return f"at most {_percent(unfamiliarity['wanted'])} of new images like these are flagged as unfamiliar"
    return (
        f"up to {_percent(unfamiliarity['bound'])} of new images like these may be flagged as unfamiliar: "
        f"{_percent(unfamiliarity['wanted'])} takes {unfamiliarity['validation_needed']:,} validation images, there "
        f"are {unfamiliarity['validation_images']:,}"
    )


def describe_threshold(unfamiliarity: dict[str, Any]) -> list[str]:
    """What is flagged, and what the threshold promises, in sentences.

    Args:
        unfamiliarity: Key `unfamiliarity` of `metrics.json`.
    """
    nearest = unfamiliarity["neighbours"]
    rank = "nearest" if nearest == 1 else f"{nearest}th nearest"
    promise = describe_promise(unfamiliarity)
    flagged, share = unfamiliarity["flagged"], _percent(unfamiliarity["share"])
    low, high = map(_percent, unfamiliarity["share_interval"])
    return [
        f"The unfamiliarity of an image is the cosine distance of its features to those of the {rank} of "
        f"{unfamiliarity['reference_images']:,} training images. An image is flagged as unfamiliar above "
        f"{unfamiliarity['threshold']:.4f}.",
        f"{promise[0].upper()}{promise[1:]} (95 % confidence; {unfamiliarity['validation_images']:,} validation "
        "images chose the threshold).",
        f"Of the test images {flagged:,} {'is' if flagged == 1 else 'are'} flagged, {share} (95 % interval {low} to "
        f"{high}).",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
