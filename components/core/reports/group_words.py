"""Groups of the test images in words, such as patients, for the evaluation report, the model card and the log."""

from typing import Any

from headstart.components.core.util.printable import describe_groups, pluralize

FEW_GROUPS = 20
"""Number of groups below which intervals are rough: how much groups differ is itself known from so few of them."""


def describe_grouped_test(metrics: dict[str, Any]) -> list[str]:
    """What groups of the test images mean for the figures, in sentences; none where no groups are named.

    Args:
        metrics: Content of `metrics.json`.
    """
    unit, final = metrics.get("grouping"), metrics["test"]
    if not unit:
        return []
    independent = max(1, round(final["effective_images"]))
    sentences = [
        f"The {final['images']:,} test images are{describe_groups(final['groups'], unit)}. For the accuracy they "
        f"count as {independent:,} independent {pluralize('image', independent)}; all intervals and tests are those "
        f"of whole {pluralize(unit, 2)}."
    ]
    if warning := warn_of_few_groups(metrics):
        sentences.append(f"{warning[0].upper()}{warning[1:]}.")
    return sentences


def warn_of_few_groups(metrics: dict[str, Any]) -> str:
    """A clause that warns of few groups of test images, with the way out; empty if there are enough, or none named.

    Args:
        metrics: Content of `metrics.json`.
    """
    unit, final = metrics.get("grouping"), metrics["test"]
    if not unit or final["groups"] >= FEW_GROUPS:
        return ""
    units = pluralize(unit, 2)
    if final["groups"] == 1:
        return (
            f"the {final['images']:,} test images are of one {unit}, so nothing is known of other {units}; add "
            f"images of other {units}"
        )
    return (
        f"the {final['images']:,} test images are{describe_groups(final['groups'], unit)}: with fewer than "
        f"{FEW_GROUPS} {units} intervals are rough; add images of other {units}, rather than more of the same"
    )
