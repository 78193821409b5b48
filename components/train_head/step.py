"""Trains a new head on a frozen, pretrained backbone."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.components.core.artifacts.dataset import read_training_infos
from headstart.components.core.artifacts.history import best_epoch
from headstart.components.core.artifacts.model import ModelInfo, write_answers, write_seen
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.logs import event, start_logging
from headstart.components.train_head.probe import Probed, probe_data, write_probe

if TYPE_CHECKING:
    from headstart.components.core.training.fit import Work


@full_disk_in_one_line()
def train_head(
    train: Path,
    validation: Path,
    model: Path,
    recipe: Recipe,
    seed: int,
    record_uri: str = "",
    checkpoint_uri: str = "",
    accelerators: int = 0,
    tensorboard: Path | None = None,
    to_be_tuned: bool = True,
) -> ModelInfo:
    """Records what the frozen backbone says of every image, once, and trains the head on the record.

    With no recorded views it is trained end to end instead, on images that are augmented anew in every epoch. The
    record also tells which labels are doubtful and what more images would bring: see `probe_data`. A head of a single
    layer on averaged features starts from ridge regression, and stays that where training makes nothing better of it.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Folder of the model artifact, made anew.
        recipe: How to train.
        seed: Of everything drawn at random.
        record_uri: Folder, or gs:// or s3:// address, where records of frozen features are shared; empty: none.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints to write and to go on from; empty: none.
        accelerators: How many GPUs there have to be.
        tensorboard: Folder that receives event files of how training went; None: none are written.
        to_be_tuned: Whether fine-tuning follows, whose record can be made in passing.

    Raises:
        HeadstartError: There are too few GPUs, a setting is wrong, that of fine-tuning's first layer included, or the
            weights cannot be had or do not fit.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    recipe = recipe.resolved()

    from headstart.components.core.networks.pretrained_weights import weights_digest
    from headstart.components.core.networks.saving import library_versions, save_model
    from headstart.components.core.training.feature_predictions import answers
    from headstart.components.core.training.fit import fit
    from headstart.components.core.training.tensorboard import write_event_files

    asked = (train, validation, recipe, seed, record_uri, checkpoint_uri, accelerators, to_be_tuned)
    with head_work(*asked) as (work, probed):
        epochs = fit(work.tail, work.train, work.validation, work.plan, checkpoint=work.checkpoint)
        kept = best_epoch(epochs)
        metrics = {"validation_loss": kept.validation_loss, "validation_accuracy": kept.validation_accuracy}
        if probed.head.loss < kept.validation_loss:
            event("ridge_is_better", trained=kept.validation_loss, ridge=probed.head.loss, taken=_is_linear(recipe))
            if _is_linear(recipe):
                work.network.get_layer("output").set_weights([probed.head.kernel, probed.head.bias])
                metrics = {"validation_loss": probed.head.loss, "validation_accuracy": probed.head.accuracy}
        said = answers(work.tail, work.validation)
    info = ModelInfo(
        stage=work.plan.stage,
        classes=work.learn.classes,
        image_size=recipe.image_size,
        backbone=recipe.backbone,
        recipe=recipe.shown(),
        dataset={"train": work.learn.digest, "validation": work.choose.digest},
        metrics=metrics,
        versions=library_versions(),
        seed=seed,
        seconds=time.monotonic() - started + work.seconds_before,
        max_side=work.learn.max_side,
        ranges=work.learn.ranges,
        backbone_sha256=weights_digest(work.network.get_layer(recipe.backbone)),
    )
    if tensorboard:
        write_event_files(tensorboard, work.plan.stage, epochs)
    make_empty_folder(model)
    write_seen(model, [train, validation])
    write_answers(model, validation, said)
    write_probe(model, probed)
    save_model(model, work.network, info, epochs)
    event("model", stage=work.plan.stage, epoch=kept.epoch, **info.metrics)
    return info


@contextlib.contextmanager
def head_work(
    train: Path,
    validation: Path,
    recipe: Recipe,
    seed: int,
    record_uri: str = "",
    checkpoint_uri: str = "",
    accelerators: int = 0,
    to_be_tuned: bool = False,
) -> Iterator[tuple["Work", Probed]]:
    """The head on its record, all but trained, and what the record tells of the data; the arguments of `train_head`.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        recipe: How to train, resolved.
        seed: Of everything drawn at random.
        record_uri: Where records of frozen features are shared; empty: nowhere.
        checkpoint_uri: Where checkpoints are; empty: there are none.
        accelerators: How many GPUs there have to be.
        to_be_tuned: Whether to record for fine-tuning, too.
    """
    plan = Plan.of(recipe, "head", seed)
    backbone = get_backbone(recipe.backbone)
    preprocessing = backbone.preprocessing if recipe.scaling == "backbone" else recipe.scaling
    learn, choose = read_training_infos(train, validation)

    start_tensorflow()
    from headstart.components.core.features.cache import (
        IntermediateFeatures,
        compute_or_load_features,
        limit_views_to_room,
    )
    from headstart.components.core.networks.classifier import (
        BACKBONE_END,
        build_classifier,
        cut_backbone,
        cut_classifier,
    )
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
    from headstart.components.core.training.end_to_end import end_to_end
    from headstart.components.core.training.fit import Work
    from headstart.components.core.training.resume import open_checkpoint

    seed_and_select_devices(plan, accelerators)
    base = build_pretrained_backbone(backbone, recipe.image_size, recipe.weights, recipe.weights_sha256)
    network = build_classifier(base, preprocessing, recipe.head_shape(), len(learn.classes), recipe.image_size)
    tensors = len(network.trainable_variables)
    base.trainable = False
    front, rest = cut_backbone(network, base.name, recipe.fine_tuning.unfreeze_from)
    event(
        "network",
        backbone=backbone.name,
        image_size=recipe.image_size,
        parameters=network.count_params(),
        trainable_tensors_before=tensors,
        trainable_tensors=len(network.trainable_variables),
    )
    checkpoint = open_checkpoint(checkpoint_uri, plan, network, [learn.digest, choose.digest])
    parts = cut_classifier(network, base.name, BACKBONE_END)
    for_tuning = None
    if to_be_tuned:
        tuning = limit_views_to_room(front, train, validation, Plan.of(recipe, "fine_tuning", seed))
        for_tuning = IntermediateFeatures(front, rest, tuning.training.views(learn.images))
    with contextlib.ExitStack() as held:
        records = held.enter_context(
            compute_or_load_features(parts.front, train, validation, plan, record_uri, for_tuning)
        )
        plain = [record.activations[0] for record in records]
        probed = probe_data([train, validation], plain, base.output.shape[-1], seed, plan.training)
        if not plan.training.views(learn.images):
            parts = end_to_end(parts, plan)
            records = held.enter_context(compute_or_load_features(parts.front, train, validation, plan))
        if _is_linear(recipe):
            network.get_layer("output").set_weights([probed.head.kernel, probed.head.bias])
        yield Work(learn, choose, plan, network, parts.tail, *records, checkpoint=checkpoint), probed


def _is_linear(recipe: Recipe) -> bool:
    shape = recipe.head_shape()
    return shape.pooling == "average" and not shape.hidden_units
