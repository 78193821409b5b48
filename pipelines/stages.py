"""The pipeline's stages by name, for whoever shows or places them without building the pipeline."""

GROUPS = {
    "list_data": "data",
    "find_champion": "data",
    "download_dataset": "data",
    "split_dataset": "data",
    "train_head": "network",
    "fine_tune": "network",
    "train_from_scratch": "network",
    "evaluate_model": "network",
    "compare_models": "data",
    "publish_model": "network",
}
"""The group of each stage, in the order in which they run; only those that compute a network get an accelerator."""

READING_STAGES = (
    "list_data",
    "find_champion",
    "download_dataset",
    "train_head",
    "fine_tune",
    "train_from_scratch",
    "evaluate_model",
    "publish_model",
)
"""The stages that read from addresses of the user's, or write there, and so need credentials."""


def stages(from_scratch: bool) -> list[str]:
    """The stages that a pipeline has, by the names of its tasks."""
    return [name.replace("_", "-") for name in GROUPS if from_scratch or name != "train_from_scratch"]
