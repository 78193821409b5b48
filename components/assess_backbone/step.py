"""Assesses a backbone on the user's images: features once, then ridge regression out of fold."""

import dataclasses
import time
from pathlib import Path

from headstart.components.core.artifacts.backbone_assessment import Assessment, Measurement
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.logs import log_phase, start_logging
from headstart.components.split_dataset.step import SplitSettings, SplitSizes, split_dataset
from headstart.components.train_head.step import prepare_head_job

_VALIDATION_SHARE = 0.2


def draw_images(inputs: TrainingInputs, measurement: Measurement, folder: Path) -> TrainingInputs:
    """Draws the images that the budget suffices for: whole groups of the training set, classes in proportion.

    The same share and seed draw the same images, whatever the backbone.

    Args:
        inputs: Training and validation set, and the seed.
        measurement: Measurement of all backbones, with the share of the images to draw.
        folder: Folder that receives the datasets.

    Returns:
        Inputs with the part that was drawn as training and validation set; those given where all images are used.
    """
    if measurement.share == 1:
        return inputs
    log_phase("drawing images")
    share = measurement.share
    train, validation, rest = (folder / name for name in ("part-train", "part-validation", "part-rest"))
    fractions = [share * (1 - _VALIDATION_SHARE), share * _VALIDATION_SHARE, 1 - share]
    sizes = SplitSizes([], fractions)
    split_dataset(inputs.train, train, validation, rest, SplitSettings(sizes, "hash", inputs.seed))
    return dataclasses.replace(inputs, train=train, validation=validation)


@explain_full_disk()
def assess_backbone(inputs: TrainingInputs, name: str, measurement: Measurement) -> Assessment:
    """Computes the features of every image once, and predicts each image by ridge regression out of fold.

    The features of a run with the same recipe are cached in the same pass, if the budget suffices for them.

    Args:
        inputs: Data, see `draw_images`, and hyperparameters, seed and addresses.
        name: Name of the backbone, as the user gave it.
        measurement: Sizes and speeds of all backbones, and what they are assessed on.

    Raises:
        HeadstartError: If there are too few GPUs, a setting is wrong, the backbone was not measured, or its weights
            cannot be had or do not fit.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    found = measurement.find(without_secrets(name))
    recipe = resolve_recipe(inputs.recipe)
    if not measurement.as_run:
        recipe = _without_augmentation(recipe)
    with prepare_head_job(dataclasses.replace(inputs, recipe=recipe), to_be_tuned=measurement.as_run) as (_, probe):
        seconds = time.monotonic() - started
        return Assessment(found.name, probe.predictions, found.parameters, found.images_per_second, seconds)


def _without_augmentation(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"head": recipe.head.model_copy(update={"augmented_views": 1})})
