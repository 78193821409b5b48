"""Trains a small convnet from random weights, as a baseline for transfer learning."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.components.core.artifacts.dataset import read_dataset_info, read_training_infos
from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.backbones.table import Head
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.fold_choice import read_fold_choice
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.logs import event, start_logging

if TYPE_CHECKING:
    from headstart.components.core.training.training_job import TrainingJob


@explain_full_disk()
def train_from_scratch(inputs: TrainingInputs, model: Path) -> ModelInfo:
    """Trains the whole convnet and keeps the epoch with the lowest validation loss.

    Args:
        inputs: Data, hyperparameters, seed and addresses; an image size of 0 is the backbone's own.
        model: Folder of the model artifact, created anew.

    Raises:
        HeadstartError: If there are too few GPUs, or a setting is wrong.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    inputs = dataclasses.replace(inputs, recipe=resolve_recipe(inputs.recipe))

    from headstart.components.core.training.feature_predictions import predict_proba
    from headstart.components.core.training.trained_model import TrainingResult, save_trained_model

    with prepare_from_scratch_job(inputs) as job:
        epochs = job.fit()
        predictions = predict_proba(job.tail, job.validation_features)
        kept = job.choice or best_epoch(epochs)
        metrics = {"validation_loss": kept.validation_loss, "validation_accuracy": kept.validation_accuracy}
        info = job.describe(metrics, time.monotonic() - started)
        return save_trained_model(model, job, TrainingResult(info, epochs, predictions))


@contextlib.contextmanager
def prepare_from_scratch_job(inputs: TrainingInputs) -> Iterator["TrainingJob"]:
    """The training job of the convnet.

    Args:
        inputs: Those of `train_from_scratch`, the recipe resolved.
    """
    recipe, folders = inputs.recipe, (inputs.train, inputs.validation)
    plan = Plan.of(recipe, "from_scratch", inputs.seed)
    size, shape = recipe.image_size, recipe.from_scratch
    choice = read_fold_choice(inputs.fold_results, plan.phase)
    train_info, validation_info = read_training_infos(*folders, validates=choice is None)

    start_tensorflow()
    from headstart.components.core.networks.classifier import ALL, build_classifier, cut_classifier
    from headstart.components.core.networks.convnet import CONVNET, build_convnet
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.training.end_to_end import cut_at_pixels
    from headstart.components.core.training.job_features import open_job_features
    from headstart.components.core.training.resume import open_checkpoint
    from headstart.components.core.training.training_job import TrainingJob

    seed_and_select_devices(plan, inputs.accelerators)
    head = Head("flatten", shape.hidden_units, feature_dropout=shape.dropout)
    convnet = build_convnet(size, shape.padding)
    network = build_classifier(convnet, shape.scaling, head, len(train_info.classes), size)
    event("network", backbone=CONVNET, image_size=size, parameters=network.count_params())
    digests = [train_info.digest, validation_info.digest]
    checkpoint = open_checkpoint(inputs.checkpoint_uri, plan, network, digests, choice)
    parts = cut_classifier(network, CONVNET, ALL)
    if not plan.training.count_views(read_dataset_info(inputs.featured).images):
        parts = cut_at_pixels(parts, plan)
    with open_job_features(parts.front, inputs, plan) as features:
        yield TrainingJob(
            inputs,
            train_info,
            validation_info,
            plan,
            network,
            CONVNET,
            parts.tail,
            features.train,
            features.validation,
            checkpoint=checkpoint,
            held_out_features=features.held_out,
            choice=choice,
        )
