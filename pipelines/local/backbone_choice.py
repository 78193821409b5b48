"""Assessment of backbones on the user's images: features once for each, then ridge regression out of fold."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.metrics.backbone_ranking import Assessment
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.split_data import SPLITTING_TASKS, make_splits
from headstart.pipelines.local.tensorflow_import import import_tensorflow
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.display import RunDisplay

_MEASURING_TASK = "measure-backbones"
_FEWEST_IMAGES = 50
_USED_SHARE = 0.8
"""Part of the budget that features may take by the measured rates; reading images and regression take time, too."""

_VALIDATION_SHARE = 0.2
_LARGEST_PART = 0.95
"""Of a training set; a split has three parts, and the last of them may not be empty."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Findings on all backbones.

    Attributes:
        assessments: Findings on each, on the same images.
        images: Number of images that they were assessed on.
        available: Number of training and validation images.
        kept: Whether the features of a run with the same options are in the cache now.
    """

    assessments: list[Assessment]
    images: int
    available: int
    kept: bool


@dataclasses.dataclass(frozen=True)
class _Candidate:
    name: str
    recipe: Recipe
    parameters: int
    images_per_second: float


def list_tasks(parameters: Sequence[Parameters]) -> list[str]:
    """Names of the tasks that `assess_backbones` shows, in order."""
    return [*SPLITTING_TASKS, _MEASURING_TASK, *(without_secrets(each.backbone) for each in parameters)]


def assess_backbones(parameters: Sequence[Parameters], budget: float, folder: Path, display: RunDisplay) -> Choice:
    """Splits the data as a run does, and assesses each backbone on the training and the validation images.

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
    with show_task(display, _MEASURING_TASK):
        candidates = [_measure(each) for each in parameters]
    train_images, validation_images = (read_dataset_info(each).images for each in (train, validation))
    views = [each.recipe.head.count_views(train_images) for each in candidates]
    passes = [max(1, each) * train_images + validation_images for each in views]
    as_run = all(views) and _affordable(budget, candidates, passes) >= 1
    available = train_images + validation_images
    if not as_run:
        candidates = [dataclasses.replace(each, recipe=_without_augmentation(each.recipe)) for each in candidates]
        share = _affordable(budget, candidates, [available] * len(candidates))
        if share < 1:
            train, validation = draw_part(train, share * available / train_images, common.seed, folder)
    images = sum(read_dataset_info(each).images for each in (train, validation))
    assessments = []
    for each in candidates:
        inputs = TrainingInputs(train, validation, each.recipe, common.seed, common.record_uri)
        with show_task(display, without_secrets(each.name)):
            assessments.append(_assess(each, inputs, as_run))
    return Choice(assessments, images, available, as_run)


def _measure(parameters: Parameters) -> _Candidate:
    from headstart.components.core.networks.throughput import measure_backbone

    recipe = resolve_recipe(parameters.read_recipe())
    found = measure_backbone(recipe.backbone, recipe.image_size)
    return _Candidate(parameters.backbone, recipe, found.parameters, found.images_per_second)


def _affordable(budget: float, candidates: Sequence[_Candidate], images: Sequence[int]) -> float:
    """How many times the budget suffices for so many images with each backbone; infinite without a budget."""
    seconds = sum(number / each.images_per_second for number, each in zip(images, candidates, strict=True))
    return _USED_SHARE * budget / seconds if budget else float("inf")


def _without_augmentation(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"head": recipe.head.model_copy(update={"augmented_views": 1})})


def draw_part(train: Path, share: float, seed: int, folder: Path) -> tuple[Path, Path]:
    """Draws a part of a training set, whole groups and classes in proportion, and splits it again."""
    images = read_dataset_info(train).images
    if share * images < min(_FEWEST_IMAGES, images):
        raise HeadstartError(
            f"the budget suffices for {int(share * images)} images with each backbone, and ranking takes "
            f"{min(_FEWEST_IMAGES, images)}; give it more time, or fewer backbones"
        )
    share = min(share, _LARGEST_PART)
    part, validation, rest = (folder / name for name in ("part-train", "part-validation", "part-rest"))
    fractions = [share * (1 - _VALIDATION_SHARE), share * _VALIDATION_SHARE, 1 - share]
    split_dataset(train, part, validation, rest, SplitSettings(SplitSizes([], fractions), "hash", seed))
    return part, validation


def _assess(candidate: _Candidate, inputs: TrainingInputs, as_run: bool) -> Assessment:
    from headstart.components.train_head.step import prepare_head_job

    started = time.monotonic()
    with prepare_head_job(inputs, to_be_tuned=as_run) as (_, probe):
        return Assessment(
            candidate.name,
            probe.predictions,
            candidate.parameters,
            candidate.images_per_second,
            time.monotonic() - started,
        )
