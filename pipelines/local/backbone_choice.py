"""Choice of a backbone on this machine, by the steps of the pipeline of that name."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from headstart.components.assess_backbone.step import assess_backbone, draw_images
from headstart.components.core.artifacts.backbone_ranking import Ranking
from headstart.components.core.storage.cache import cache_folder
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.measure_backbones.step import Budget, measure_backbones
from headstart.components.rank_backbones.step import build_ranking
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.split_data import SPLITTING_TASKS, make_splits
from headstart.pipelines.local.tensorflow_import import import_tensorflow
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.display import RunDisplay

_MEASURING_TASK = "measure-backbones"


def list_tasks(parameters: Sequence[Parameters]) -> list[str]:
    """Names of the tasks that `assess_backbones` shows, in order."""
    return [*SPLITTING_TASKS, _MEASURING_TASK, *(without_secrets(each.backbone) for each in parameters)]


def assess_backbones(parameters: Sequence[Parameters], budget: float, folder: Path, display: RunDisplay) -> Ranking:
    """Splits the data as a run does, assesses each backbone on training and validation images, and ranks them.

    The test images are not looked at. If the budget suffices, features are computed as a run computes them, and are
    in its cache afterwards. Otherwise those of augmented views are left out, and then images: a part of the training
    set is drawn, the same for all backbones.

    Args:
        parameters: Parameters of a run with each backbone, with absolute local paths.
        budget: Seconds that features may take in all; 0: as long as they take.
        folder: Folder for datasets.
        display: Display of the progress.

    Raises:
        HeadstartError: If a backbone cannot be used, or the budget suffices for too few images.
    """
    common = parameters[0]
    train, validation = make_splits(common, folder, display)
    import_tensorflow()
    recipes = {each.backbone: each.read_recipe() for each in parameters}
    with show_task(display, _MEASURING_TASK):
        allowed = Budget(budget, keep=bool(common.record_uri or cache_folder("records")))
        measurement = measure_backbones(recipes, train, validation, allowed)
        inputs = TrainingInputs(train, validation, common.read_recipe(), common.seed, common.record_uri)
        inputs = draw_images(inputs, measurement, folder)
    assessments = []
    for name, recipe in recipes.items():
        with show_task(display, without_secrets(name)):
            own = dataclasses.replace(inputs, recipe=recipe)
            assessments.append(assess_backbone(own, name, measurement))
    return build_ranking(assessments, measurement)
