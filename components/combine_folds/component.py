"""KFP interface of `combine_folds`."""

from typing import List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def combine_folds(train: Input[Dataset], results: Input[List[Artifact]], combined: Output[Artifact]) -> None:
    """Combines the results of cross-validation folds, and checks that every image was predicted once.

    Args:
        train: Dataset artifact of all images, which `split_dataset` divided for cross-validation.
        results: Folders that `train_folds` made.
        combined: The same of all folds, predictions in the order of the dataset.
    """
    from pathlib import Path

    from headstart.components.combine_folds import step

    step.combine_folds(Path(train.path), [Path(each.path) for each in results], Path(combined.path))
