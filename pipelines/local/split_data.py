"""Data split as a run splits them, for commands that compute in their own process."""

from pathlib import Path

from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.display import RunDisplay

SPLITTING_TASKS = ("download-dataset", "split-dataset")
"""Tasks that `make_splits` shows."""


def make_splits(parameters: Parameters, folder: Path, display: RunDisplay) -> tuple[Path, Path]:
    """Downloads and splits the data as in a run with the same parameters.

    Args:
        parameters: Parameters with absolute local paths.
        folder: Folder that receives the datasets.
        display: Display of the progress.

    Returns:
        The training and the validation set.
    """
    dataset, train, validation, test = (folder / name for name in ("dataset", "train", "validation", "test"))
    with show_task(display, SPLITTING_TASKS[0]):
        settings = DownloadSettings(
            parameters.labels,
            parameters.max_side,
            parameters.max_bad_fraction,
            parameters.sha256,
            parameters.corrections,
            parameters.class_level,
            parameters.image_column,
            parameters.label_column,
            parameters.accept_suggestions,
            group_column=parameters.group_column,
            group_from=parameters.group_from,
        )
        download_dataset(parameters.data, dataset, folder / "hygiene.html", settings)
    with show_task(display, SPLITTING_TASKS[1]):
        sizes = SplitSizes(parameters.counts, parameters.fractions, parameters.class_counts)
        split_settings = SplitSettings(
            *(sizes, parameters.order, parameters.seed),
            tiny_classes=parameters.tiny_classes,
            strict_groups=parameters.strict_groups,
        )
        split_dataset(dataset, train, validation, test, split_settings)
    return train, validation
