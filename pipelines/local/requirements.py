"""Requirements of a command on this machine that are cheap to check before any image is read."""

from collections.abc import Sequence
from pathlib import Path

from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.sources import find_local_path
from headstart.components.core.storage.stores import is_local
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, count_files
from headstart.components.list_data.step import check_weights
from headstart.components.split_dataset.step import SplitSizes
from headstart.pipelines.definitions.parameters import Parameters

_KEEP = "keep"


def check_before_reading(parameters: Parameters, trainings: Sequence[Recipe]) -> None:
    """Refuses weights that are not at hand, and counts that the data cannot have.

    Args:
        parameters: Parameters of the command, with absolute local paths.
        trainings: Recipes whose pretrained weights are needed.

    Raises:
        HeadstartError: If weights are neither here nor can be downloaded, a class has fewer files than the counts ask
            for.
    """
    for recipe in trainings:
        check_weights(recipe)
    if (parameters.counts or parameters.class_counts) and _may_be_counted(parameters):
        settings = DownloadSettings(
            parameters.labels,
            class_level=parameters.class_level,
            image_column=parameters.image_column,
            label_column=parameters.label_column,
            group_column=parameters.group_column,
            group_from=parameters.group_from,
        )
        sizes = SplitSizes(parameters.counts, parameters.fractions, parameters.class_counts)
        try:
            files = count_files(parameters.data, settings)
        except HeadstartError:
            # The run says so where it reads the data.
            return
        sizes.check_files(files)


def _may_be_counted(parameters: Parameters) -> bool:
    """Whether a listing takes no time and its numbers bound those of the images.

    Corrections move images between classes, and tiny classes may be left out. Folders and zip archives are listed at
    once; a tar archive is read to its end for it, and an address is asked over the network.
    """
    listed_at_once = all(is_local(each) and _is_listed_at_once(find_local_path(each)) for each in parameters.data)
    return listed_at_once and not parameters.corrections and parameters.tiny_classes == _KEEP


def _is_listed_at_once(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")
