"""The pipeline's stages by name, for whoever shows or places them without building the pipeline."""

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
    "publish_model": "network",
    "compare_variants": "data",
}
"""The group of each stage, in the order in which they run; only those that compute a network get an accelerator."""

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


_OF_COMPARISONS = ("train_variant", "compare_variants")
_OF_BOTH = ("list_data", "download_dataset", "split_dataset", "evaluate_model")


def stages(from_scratch: bool) -> list[str]:
    """The stages that the pipeline has, by the names of its tasks."""
    others = _OF_COMPARISONS if from_scratch else (*_OF_COMPARISONS, "train_from_scratch")
    return [name.replace("_", "-") for name in GROUPS if name not in others]


def comparison_stages() -> list[str]:
    """The stages of a comparison; `train-variant` and `evaluate-model` run once for each variant."""
    return [name.replace("_", "-") for name in GROUPS if name in (*_OF_BOTH, *_OF_COMPARISONS)]
