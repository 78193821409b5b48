"""Measures size and speed of backbones, and decides how many images a budget suffices for."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from headstart.components.core.artifacts.backbone_assessment import MeasuredBackbone, Measurement
from headstart.components.core.artifacts.backbone_ranking import check_backbone_names
from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging, track_progress

_FEWEST_IMAGES = 50
_LARGEST_PART = 0.95
"""Of a training set; a split has three parts, and the last of them may not be empty."""

_USED_SHARE = 0.8
"""Part of the budget that features may take by the measured rates; reading images and regression take time, too."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """Time for the features of all backbones.

    Attributes:
        seconds: Seconds; 0: as long as they take.
        side_by_side: Whether the backbones are assessed at the same time, each on a machine of its own.
        keep: Whether features as a run computes them are wanted, because they can be kept for it.
    """

    seconds: float = 0.0
    side_by_side: bool = False
    keep: bool = True


@explain_full_disk()
def measure_backbones(
    recipes: Mapping[str, Recipe], train: Path, validation: Path, budget: Budget, accelerators: int = 0
) -> Measurement:
    """Measures backbones one after the other, and decides what each is assessed on.

    If the budget suffices, features are computed as a run computes them. Otherwise those of augmented views are left
    out, and then images: a part of the training set is drawn, the same for all backbones.

    Args:
        recipes: Recipe of each backbone, by the backbone's name as the user gave it.
        train: Dataset artifact of the training set.
        validation: Dataset artifact of the validation set.
        budget: Time for features.
        accelerators: Number of GPUs required; 0: none.

    Raises:
        HeadstartError: If there are fewer than two backbones, too few GPUs, one backbone cannot be used, or the
            budget suffices for too few images.
    """
    start_logging()
    check_backbone_names(list(recipes))
    start_tensorflow()
    from headstart.components.core.networks.devices import check_accelerators
    from headstart.components.core.networks.throughput import measure_backbone

    check_accelerators("measuring", accelerators)
    resolved = [resolve_recipe(each) for each in recipes.values()]
    measured = []
    named = list(zip(recipes, resolved, strict=True))
    for name, recipe in track_progress(named, "measuring", len(named), unit="backbones"):
        found = measure_backbone(recipe.backbone, recipe.image_size)
        measured.append(MeasuredBackbone(without_secrets(name), found.parameters, found.images_per_second))
        event("measured", backbone=measured[-1].name, parameters=found.parameters, rate=found.images_per_second)
    sizes = [read_dataset_info(each).images for each in (train, validation)]
    views = [each.head.count_views(sizes[0]) for each in resolved]
    return plan_assessment(measured, (sizes[0], sizes[1]), views, budget)


def plan_assessment(
    backbones: list[MeasuredBackbone], images: tuple[int, int], views: Sequence[int], budget: Budget
) -> Measurement:
    """Decides what backbones are assessed on.

    Args:
        backbones: Size and speed of each.
        images: Numbers of training and validation images.
        views: Number of views of a training image that a run with each backbone caches; 0: it trains end to end.
        budget: Time for features.

    Raises:
        HeadstartError: If the budget suffices for too few images.
    """
    train, validation = images
    rates = [each.images_per_second for each in backbones]
    passes = [max(1, each) * train + validation for each in views]
    if budget.keep and all(views) and _affordable(budget, rates, passes) >= 1:
        return Measurement(backbones, train + validation, 1.0, True)
    wanted = _affordable(budget, rates, [train + validation] * len(rates)) * (train + validation)
    if wanted >= train + validation:
        return Measurement(backbones, train + validation, 1.0, False)
    fewest = min(_FEWEST_IMAGES, train)
    if wanted < fewest:
        raise HeadstartError(
            f"the budget suffices for {int(wanted)} images with each backbone, and ranking takes {fewest}; give it "
            "more time, or fewer backbones"
        )
    return Measurement(backbones, train + validation, min(wanted / train, _LARGEST_PART), False)


def _affordable(budget: Budget, rates: Sequence[float], images: Sequence[int]) -> float:
    """How many times the budget suffices for so many images with each backbone; infinite without a budget."""
    seconds = [number / rate for number, rate in zip(images, rates, strict=True)]
    needed = max(seconds) if budget.side_by_side else sum(seconds)
    return _USED_SHARE * budget.seconds / needed if budget.seconds else float("inf")
