"""Trains a small convnet from random weights: what the pictures alone can teach, to compare transfer with."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.components.core.artifacts.dataset import read_training_infos
from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.artifacts.model import ModelInfo, write_answers, write_seen
from headstart.components.core.backbones.table import Head
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.logs import event, start_logging

if TYPE_CHECKING:
    from headstart.components.core.training.fit import Work


@full_disk_in_one_line()
def train_from_scratch(
    train: Path,
    validation: Path,
    model: Path,
    recipe: Recipe,
    seed: int,
    checkpoint_uri: str = "",
    accelerators: int = 0,
    tensorboard: Path | None = None,
) -> ModelInfo:
    """Trains the convnet, all of it, and keeps the epoch with the least validation loss.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Folder of the model artifact, made anew.
        recipe: How to train; its image size is that of the backbone, for 0.
        seed: Of everything drawn at random.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints to write and to go on from; empty: none.
        accelerators: How many GPUs there have to be.
        tensorboard: Folder that receives event files of how training went; None: none are written.

    Raises:
        HeadstartError: There are too few GPUs, a setting is wrong.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    recipe = recipe.resolved()

    from headstart.components.core.networks.convnet import CONVNET
    from headstart.components.core.networks.saving import library_versions, save_model
    from headstart.components.core.training.feature_predictions import answers
    from headstart.components.core.training.fit import fit
    from headstart.components.core.training.tensorboard import write_event_files

    with from_scratch_work(train, validation, recipe, seed, checkpoint_uri, accelerators) as work:
        epochs = fit(work.tail, work.train, work.validation, work.plan, checkpoint=work.checkpoint)
        said = answers(work.tail, work.validation)
    kept = best_epoch(epochs)
    info = ModelInfo(
        stage=work.plan.stage,
        classes=work.learn.classes,
        image_size=recipe.image_size,
        backbone=CONVNET,
        recipe=recipe.shown(),
        dataset={"train": work.learn.digest, "validation": work.choose.digest},
        metrics={"validation_loss": kept.validation_loss, "validation_accuracy": kept.validation_accuracy},
        versions=library_versions(),
        seed=seed,
        seconds=time.monotonic() - started + work.seconds_before,
        max_side=work.learn.max_side,
        ranges=work.learn.ranges,
    )
    if tensorboard:
        write_event_files(tensorboard, work.plan.stage, epochs)
    make_empty_folder(model)
    write_seen(model, [train, validation])
    write_answers(model, validation, said)
    save_model(model, work.network, info, epochs)
    event("model", stage=work.plan.stage, epoch=kept.epoch, **info.metrics)
    return info


@contextlib.contextmanager
def from_scratch_work(
    train: Path, validation: Path, recipe: Recipe, seed: int, checkpoint_uri: str = "", accelerators: int = 0
) -> Iterator["Work"]:
    """The convnet on its record, all but trained; the arguments of `train_from_scratch`.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        recipe: How to train, resolved.
        seed: Of everything drawn at random.
        checkpoint_uri: Where checkpoints are; empty: there are none.
        accelerators: How many GPUs there have to be.
    """
    plan = Plan.of(recipe, "from_scratch", seed)
    size, shape = recipe.image_size, recipe.from_scratch
    learn, choose = read_training_infos(train, validation)

    start_tensorflow()
    from headstart.components.core.features.cache import compute_or_load_features
    from headstart.components.core.networks.classifier import ALL, build_classifier, cut_classifier
    from headstart.components.core.networks.convnet import CONVNET, build_convnet
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.training.end_to_end import end_to_end
    from headstart.components.core.training.fit import Work
    from headstart.components.core.training.resume import open_checkpoint

    seed_and_select_devices(plan, accelerators)
    head = Head("flatten", shape.hidden_units, feature_dropout=shape.dropout)
    network = build_classifier(build_convnet(size, shape.padding), shape.scaling, head, len(learn.classes), size)
    event("network", backbone=CONVNET, image_size=size, parameters=network.count_params())
    checkpoint = open_checkpoint(checkpoint_uri, plan, network, [learn.digest, choose.digest])
    parts = cut_classifier(network, CONVNET, ALL)
    if not plan.training.views(learn.images):
        parts = end_to_end(parts, plan)
    with compute_or_load_features(parts.front, train, validation, plan) as records:
        yield Work(learn, choose, plan, network, parts.tail, *records, checkpoint=checkpoint)
