"""The pipeline's stages by name, for whoever shows or places them without building the pipeline."""

import dataclasses
from collections.abc import Mapping
from typing import Any

TRANSFER_LEARNING = "transfer-learning"
COMPARE_METHODS = "compare-methods"
PIPELINES = (TRANSFER_LEARNING, COMPARE_METHODS)

GROUPS = {
    "list_data": "data",
    "download_dataset": "data",
    "split_dataset": "data",
    "find_champion": "data",
    "train_head": "network",
    "fine_tune": "network",
    "train_from_scratch": "network",
    "train_variant": "network",
    "evaluate_model": "network",
    "compare_models": "data",
    "publish_model": "data",
    "compare_variants": "data",
}
"""The group of each stage, in the order in which they run; only those that train or evaluate get an accelerator."""

MAY_HAVE_ACCELERATOR = ("publish_model",)
"""Stages of the group `data` that a profile may grant one: it then has all that it does not name from `network`."""

ONLY_WHERE_ASKED = ("find_champion", "compare_models", "publish_model")
"""Stages that a run which compares with no model in use, or publishes none, does not have."""

READING_STAGES = (
    "list_data",
    "download_dataset",
    "find_champion",
    "train_head",
    "fine_tune",
    "train_from_scratch",
    "train_variant",
    "evaluate_model",
    "publish_model",
)
"""The stages that read from addresses of the user's, or write there, and so need credentials."""


@dataclasses.dataclass(frozen=True)
class Uses:
    """What runs of a pipeline are for, as far as its tasks depend on it.

    Attributes:
        champion: Whether they look up a model in use before they train.
        publication: Whether they decide and publish; None: where a run names an address, which costs a condition.
    """

    champion: bool = True
    publication: bool | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Uses":
        """What a run with these parameters of the pipeline is for."""
        publishes = bool(parameters.get("publish_uri"))
        return cls(publishes or bool(parameters.get("champion")), publishes)


ANY_USE = Uses()
"""Whatever a run's parameters say."""

_OF_COMPARISONS = ("train_variant", "compare_variants")
_OF_BOTH = ("list_data", "download_dataset", "split_dataset", "evaluate_model")


def stages(from_scratch: bool) -> list[str]:
    """The stages that the pipeline has, by the names of its tasks."""
    others = _OF_COMPARISONS if from_scratch else (*_OF_COMPARISONS, "train_from_scratch")
    return [name.replace("_", "-") for name in GROUPS if name not in others]


def comparison_stages() -> list[str]:
    """The stages of a comparison; `train-variant` and `evaluate-model` run once for each variant."""
    return [name.replace("_", "-") for name in GROUPS if name in (*_OF_BOTH, *_OF_COMPARISONS)]
