"""Fine-tunes the top layers of a backbone together with its trained head."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.components.core.artifacts.dataset import read_dataset_info, read_training_infos
from headstart.components.core.artifacts.model import FINE_TUNED_SHARE, RIDGE_HEAD, ModelInfo, read_model_info
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.class_weights import compute_class_weights
from headstart.components.core.training.fold_choice import FoldChoice, read_fold_choice
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging

if TYPE_CHECKING:
    from headstart.components.core.training.training_job import TrainingJob
    from headstart.components.core.training.variables import Arrays
    from headstart.components.core.training.weight_interpolation import Interpolation

INTERPOLATION_FACTORS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the fine-tuned weights that are tried; 0 is the head-trained model itself."""


@explain_full_disk()
def fine_tune(head: Path, inputs: TrainingInputs, model: Path) -> ModelInfo:
    """Trains the head and the backbone's top layers together, BatchNormalization kept in inference mode.

    The layers below the cut run once over every image, and training passes only the layers above it. It goes end to
    end instead if no views are to be cached or there is no room for one: see `limit_views_to_room`. The result is a
    linear interpolation of the weights before and after, the one with the lowest validation loss (WiSE-FT: M.
    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, arXiv:2109.01903). The weights before are a
    candidate, so the validation loss never exceeds the head's. They are also the result if no epoch ends with a
    finite loss. After a cross-validation there are no validation images: epochs and share are the folds' choice.

    Args:
        head: Model artifact of the trained head.
        inputs: Data, hyperparameters, seed and addresses; backbone, weights, image size and scaling are the head's.
        model: Folder of the model artifact, created anew.

    Raises:
        HeadstartError: If there are too few GPUs, a setting is wrong, or the data has other classes than the model.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    before = read_model_info(head)
    recipe = inputs.recipe.model_copy(update={"backbone": before.backbone, "image_size": before.image_size})
    inputs = dataclasses.replace(inputs, recipe=recipe.resolve())

    from headstart.components.core.training.fit import NoFiniteEpoch
    from headstart.components.core.training.trained_model import TrainingResult, save_trained_model
    from headstart.components.core.training.variables import get_values
    from headstart.components.core.training.weight_interpolation import interpolate_weights

    with prepare_fine_tuning_job(head, inputs) as job:
        training, initial = job.plan.training, get_values(job.tail.trainable_variables)
        reason = "no interpolation has a lower validation loss"
        try:
            epochs = job.fit() if job.choice is None or job.choice.share else []
        except NoFiniteEpoch as error:
            epochs, reason = [], str(error)
        if job.choice:
            chosen = _take_share(job, initial, job.choice if epochs else dataclasses.replace(job.choice, share=0.0))
        else:
            weights = compute_class_weights(training, job.train_features.labels)
            factors = INTERPOLATION_FACTORS if epochs else ()
            chosen = interpolate_weights(job.tail, initial, factors, job.validation_features, weights)
        if chosen.factor == 0:
            event("fine_tuning_kept_the_head", reason=reason, loss=chosen.loss)
        metrics = {
            "validation_loss": chosen.loss,
            "validation_accuracy": chosen.accuracy,
            FINE_TUNED_SHARE: chosen.factor,
            **{name: value for name, value in before.metrics.items() if name == RIDGE_HEAD},
        }
        augmentation = inputs.recipe.model_dump(include={"augmentation"})
        info = dataclasses.replace(
            job.describe(metrics, before.seconds + time.monotonic() - started),
            recipe=before.recipe | augmentation | {job.plan.phase: training.model_dump()},
            backbone_sha256=before.backbone_sha256,
            weights_licence=before.weights_licence,
            parent=before.sha256,
        )
        return save_trained_model(model, job, TrainingResult(info, epochs, chosen.predictions, parent=head))


def _take_share(job: "TrainingJob", initial: "Arrays", choice: FoldChoice) -> "Interpolation":
    """Sets the weights to the interpolation that a cross-validation chose."""
    from headstart.components.core.training.variables import get_values
    from headstart.components.core.training.weight_interpolation import Interpolation, set_interpolated

    set_interpolated(job.tail, initial, get_values(job.tail.trainable_variables), choice.share)
    none = np.empty((0, len(job.train_info.classes)))
    return Interpolation(choice.share, choice.validation_loss, choice.validation_accuracy, none)


@contextlib.contextmanager
def prepare_fine_tuning_job(head: Path, inputs: TrainingInputs) -> Iterator["TrainingJob"]:
    """The training job of the top layers.

    Args:
        head: Model artifact of the trained head.
        inputs: Those of `fine_tune`, the recipe resolved, with the head's backbone and image size.
    """
    recipe, folders = inputs.recipe, (inputs.train, inputs.validation)
    plan, tuning = Plan.of(recipe, "fine_tuning", inputs.seed), recipe.fine_tuning
    classes = read_model_info(head).classes
    choice = read_fold_choice(inputs.fold_results, plan.phase)
    train_info, validation_info = read_training_infos(*folders, validates=choice is None)
    if train_info.classes != classes:
        raise HeadstartError(
            f"{inputs.train} has classes {train_info.classes}, the model {classes}; pass the data it was trained on"
        )

    start_tensorflow()
    from headstart.components.core.features.cache import limit_views_to_room
    from headstart.components.core.networks.classifier import unfreeze
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.networks.lora import LowRankCopy, freeze_all_but_projections
    from headstart.components.core.networks.saving import load_model
    from headstart.components.core.training.end_to_end import cut_at_pixels
    from headstart.components.core.training.job_features import open_job_features
    from headstart.components.core.training.resume import open_checkpoint
    from headstart.components.core.training.training_job import TrainingJob

    seed_and_select_devices(plan, inputs.accelerators)
    network = load_model(head)
    parts = unfreeze(network, recipe.backbone, tuning.unfreeze_from)
    if tuning.method == "lora":
        freeze_all_but_projections(network.get_layer(recipe.backbone), tuning.unfreeze_from)
    plan = limit_views_to_room(parts.front, inputs.featured, inputs.validation, plan)
    digests = [train_info.digest, validation_info.digest]
    checkpoint = open_checkpoint(inputs.checkpoint_uri, plan, network, digests, choice)
    if not plan.training.count_views(read_dataset_info(inputs.featured).images):
        parts = cut_at_pixels(parts, plan)
    low_rank = LowRankCopy.of(parts.tail, tuning.lora_rank) if tuning.method == "lora" else None
    trained = (low_rank.model if low_rank else parts.tail).trainable_variables
    event(
        "network",
        backbone=recipe.backbone,
        unfrozen_from=tuning.unfreeze_from,
        trainable_tensors=len(trained),
        trainable_parameters=sum(math.prod(weight.shape) for weight in trained),
    )
    with open_job_features(parts.front, inputs, plan, inputs.record_uri) as features:
        yield TrainingJob(
            inputs,
            train_info,
            validation_info,
            plan,
            network,
            recipe.backbone,
            parts.tail,
            features.train,
            features.validation,
            checkpoint=checkpoint,
            held_out_features=features.held_out,
            choice=choice,
            low_rank=low_rank,
        )
