"""Trains a new head on a frozen, pretrained backbone."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.components.core.artifacts.dataset import read_dataset_info, read_training_infos
from headstart.components.core.artifacts.history import Epoch, best_epoch
from headstart.components.core.artifacts.model import RIDGE_HEAD, ModelInfo
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.licence import find_licence
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.fold_choice import read_fold_choice
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.logs import event, log_phase, start_logging
from headstart.components.train_head.probe import ProbeResult, probe_data, write_probe
from headstart.components.train_head.ridge import LinearHead

if TYPE_CHECKING:
    from headstart.components.core.training.training_job import TrainingJob


@explain_full_disk()
def train_head(inputs: TrainingInputs, model: Path, to_be_tuned: bool = True) -> ModelInfo:
    """Computes the frozen backbone's features of every image once, and trains the head on them.

    With no cached views it is trained end to end instead, on images that are augmented anew in every epoch. The
    features also show which labels are doubtful and what more images would bring: see `probe_data`. A single-layer
    head on averaged features starts from ridge regression, and stays there if training does not improve on it. After
    a cross-validation there are no validation images: epochs, and whether it stays there, are the folds' choice.

    Args:
        inputs: Data, hyperparameters, seed and addresses.
        model: Folder of the model artifact, created anew.
        to_be_tuned: Whether fine-tuning follows, whose features can be computed in the same pass.

    Raises:
        HeadstartError: If there are too few GPUs, a setting is wrong, that of fine-tuning's first layer included, or
            the weights cannot be had or do not fit.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    inputs = dataclasses.replace(inputs, recipe=resolve_recipe(inputs.recipe))
    recipe = inputs.recipe

    from headstart.components.core.networks.pretrained_weights import weights_digest
    from headstart.components.core.training.feature_predictions import predict_proba
    from headstart.components.core.training.trained_model import TrainingResult, save_trained_model

    with prepare_head_job(inputs, to_be_tuned) as (job, probe):
        epochs = job.fit()
        metrics = _choose_head(job, probe.head, best_epoch(epochs), _is_linear(recipe))
        predictions = predict_proba(job.tail, job.validation_features)
        info = dataclasses.replace(
            job.describe(metrics, time.monotonic() - started),
            backbone_sha256=weights_digest(job.network.get_layer(job.backbone)),
            weights_licence=find_licence(recipe),
        )
        result = TrainingResult(info, epochs, predictions)
        return save_trained_model(model, job, result, functools.partial(write_probe, result=probe))


def _choose_head(job: "TrainingJob", ridge: LinearHead, trained: Epoch, linear: bool) -> dict[str, float]:
    """Sets the weights of ridge regression if they are better and fit the head.

    Args:
        job: The job, trained.
        ridge: Ridge regression on the training images.
        trained: The best epoch.
        linear: Whether the head has the shape of ridge regression.

    Returns:
        Figures of the head on the validation images, or the means of those of the folds.
    """
    figures = {"validation_loss": trained.validation_loss, "validation_accuracy": trained.validation_accuracy}
    if job.choice:
        figures = {
            "validation_loss": job.choice.validation_loss,
            "validation_accuracy": job.choice.validation_accuracy,
        }
        taken = linear and job.choice.ridge
    else:
        better = ridge.loss < trained.validation_loss
        taken = linear and better
        if better:
            event("ridge_is_better", trained=trained.validation_loss, ridge=ridge.loss, taken=taken)
        if taken:
            figures = {"validation_loss": ridge.loss, "validation_accuracy": ridge.accuracy}
    if not taken:
        return figures
    job.network.get_layer("output").set_weights([ridge.kernel, ridge.bias])
    return figures | {RIDGE_HEAD: 1.0}


@contextlib.contextmanager
def prepare_head_job(
    inputs: TrainingInputs, to_be_tuned: bool = False
) -> Iterator[tuple["TrainingJob", ProbeResult]]:
    """The training job of the head, and what its features show of the data.

    Args:
        inputs: Those of `train_head`, the recipe resolved.
        to_be_tuned: Whether to compute features for fine-tuning in the same pass.
    """
    recipe, folders = inputs.recipe, (inputs.train, inputs.validation)
    plan = Plan.of(recipe, "head", inputs.seed)
    backbone = get_backbone(recipe.backbone)
    preprocessing = backbone.preprocessing if recipe.scaling == "backbone" else recipe.scaling
    choice = read_fold_choice(inputs.fold_results, plan.phase)
    train_info, validation_info = read_training_infos(*folders, validates=choice is None)
    featured = read_dataset_info(inputs.featured).images

    start_tensorflow()
    from headstart.components.core.features.cache import IntermediateFeatures, limit_views_to_room
    from headstart.components.core.networks.classifier import (
        BACKBONE_END,
        build_classifier,
        cut_backbone,
        cut_classifier,
    )
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.networks.lora import raise_if_without_attention
    from headstart.components.core.networks.pretrained_weights import build_with_weights_file
    from headstart.components.core.training.end_to_end import cut_at_pixels
    from headstart.components.core.training.job_features import open_job_features
    from headstart.components.core.training.resume import open_checkpoint
    from headstart.components.core.training.training_job import TrainingJob

    seed_and_select_devices(plan, inputs.accelerators)
    base, file_sha256 = build_with_weights_file(backbone, recipe.image_size, recipe.weights, recipe.weights_sha256)
    if file_sha256:
        recipe = recipe.model_copy(update={"weights_sha256": file_sha256})
        inputs = dataclasses.replace(inputs, recipe=recipe)
    network = build_classifier(base, preprocessing, recipe.head_shape(), len(train_info.classes), recipe.image_size)
    tensors = len(network.trainable_variables)
    base.trainable = False
    front, rest = cut_backbone(network, base.name, recipe.fine_tuning.unfreeze_from)
    if to_be_tuned and recipe.fine_tuning.method == "lora":
        raise_if_without_attention(base, recipe.fine_tuning.unfreeze_from)
    event(
        "network",
        backbone=backbone.name,
        image_size=recipe.image_size,
        parameters=network.count_params(),
        trainable_tensors_before=tensors,
        trainable_tensors=len(network.trainable_variables),
    )
    digests = [train_info.digest, validation_info.digest]
    checkpoint = open_checkpoint(inputs.checkpoint_uri, plan, network, digests, choice)
    parts = cut_classifier(network, base.name, BACKBONE_END)
    for_tuning = None
    if to_be_tuned:
        sets = (inputs.featured, inputs.validation)
        tuning = limit_views_to_room(front, *sets, Plan.of(recipe, "fine_tuning", inputs.seed))
        for_tuning = IntermediateFeatures(front, rest, tuning.training.count_views(featured))
    with contextlib.ExitStack() as stack:
        features = stack.enter_context(open_job_features(parts.front, inputs, plan, inputs.record_uri, for_tuning))
        log_phase("checking labels")
        plain = [each.activations[0] for each in (features.train, features.validation)]
        probe = probe_data(folders, plain, base.output.shape[-1], inputs.seed, plan.training)
        if not plan.training.count_views(featured):
            parts = cut_at_pixels(parts, plan)
            features = stack.enter_context(open_job_features(parts.front, inputs, plan))
        if _is_linear(recipe):
            network.get_layer("output").set_weights([probe.head.kernel, probe.head.bias])
        job = TrainingJob(
            inputs,
            train_info,
            validation_info,
            plan,
            network,
            backbone.name,
            parts.tail,
            features.train,
            features.validation,
            checkpoint=checkpoint,
            held_out_features=features.held_out,
            choice=choice,
        )
        yield job, probe


def _is_linear(recipe: Recipe) -> bool:
    """Whether the head is a single layer on averaged features, as ridge regression is."""
    shape = recipe.head_shape()
    return shape.pooling == "average" and not shape.hidden_units
