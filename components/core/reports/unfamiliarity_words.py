"""Threshold of unfamiliar images in words, for the evaluation report, the model card and the terminal."""

from typing import Any

from headstart.components.core.util.printable import describe_groups, pluralize


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
    wanted, bound = _percent(unfamiliarity["wanted"]), _percent(unfamiliarity["bound"])
    groups, unit = unfamiliarity.get("validation_groups"), unfamiliarity.get("unit", "")
    if groups is not None:
        units = pluralize(unit, 2)
        if is_promised(unfamiliarity):
            return f"of at most {wanted} of new {units} any image is flagged as unfamiliar"
        return (
            f"of up to {bound} of new {units} an image may be flagged as unfamiliar: {wanted} takes validation "
            f"images of {unfamiliarity['validation_needed']:,} {units}, there are {groups:,}"
        )
    if is_promised(unfamiliarity):
        return f"at most {wanted} of new images like these are flagged as unfamiliar"
    return (
        f"up to {bound} of new images like these may be flagged as unfamiliar: {wanted} takes "
        f"{unfamiliarity['validation_needed']:,} validation images, there are {unfamiliarity['validation_images']:,}"
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
    of_groups = describe_groups(unfamiliarity.get("validation_groups"), unfamiliarity.get("unit", ""))
    return [
        f"The unfamiliarity of an image is the cosine distance of its features to those of the {rank} of "
        f"{unfamiliarity['reference_images']:,} training images. An image is flagged as unfamiliar above "
        f"{unfamiliarity['threshold']:.4f}.",
        f"{promise[0].upper()}{promise[1:]} (95 % confidence; {unfamiliarity['validation_images']:,} validation "
        f"images{of_groups} chose the threshold).",
        f"Of the test images {flagged:,} {'is' if flagged == 1 else 'are'} flagged, {share} (95 % interval {low} to "
        f"{high}).",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
