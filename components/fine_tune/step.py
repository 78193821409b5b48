"""Fine-tunes the top layers of a backbone under a head that is trained already."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.components.core.artifacts.dataset import read_training_infos
from headstart.components.core.artifacts.history import read_history
from headstart.components.core.artifacts.model import ModelInfo, read_model_info, write_answers, write_seen
from headstart.components.core.networks.start import start_tensorflow
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.storage.atomic import make_empty_folder
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.training.class_weights import class_weights
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging

if TYPE_CHECKING:
    from headstart.components.core.training.fit import Work

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the fine-tuned weights in the mixtures that are tried; 0 is the head-trained model itself."""


@full_disk_in_one_line()
def fine_tune(
    head: Path,
    train: Path,
    validation: Path,
    model: Path,
    recipe: Recipe,
    seed: int,
    record_uri: str = "",
    checkpoint_uri: str = "",
    accelerators: int = 0,
    tensorboard: Path | None = None,
) -> ModelInfo:
    """Trains the head and the backbone's top layers together, BatchNorm kept in inference mode.

    The layers below the cut run once over every image; training passes only the layers above it, unless no views are
    asked for or there is no room for one: see `limit_views_to_room`. The result is the mixture of the weights before
    and after, linear in each weight, that has the least validation loss (Wortsman et al., "Robust fine-tuning of
    zero-shot models", CVPR 2022, arXiv:2109.01903). The weights before are among the candidates: on validation
    loss the result is never worse than the head it started from. They are the result, too, where no epoch ends
    with a finite loss.

    Args:
        head: Model artifact of the head stage.
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and the mixture.
        model: Folder of the model artifact, made anew.
        recipe: How to train; backbone, weights, image size and scaling are those of the head's.
        seed: Of everything drawn at random.
        record_uri: Folder, or gs:// or s3:// address, where records of frozen features are shared; empty: none.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints to write and to go on from; empty: none.
        accelerators: How many GPUs there have to be.
        tensorboard: Folder that receives event files of how training went; None: none are written.

    Raises:
        HeadstartError: There are too few GPUs, a setting is wrong, or the data has other classes than the model.
    """
    start_logging()
    start_tensorflow()
    started = time.monotonic()
    before = read_model_info(head)
    recipe = recipe.model_copy(update={"backbone": before.backbone, "image_size": before.image_size}).resolved()

    from headstart.components.core.networks.saving import library_versions, save_model
    from headstart.components.core.training.best_epoch import values_of
    from headstart.components.core.training.fit import NoEpoch, fit
    from headstart.components.core.training.tensorboard import write_event_files
    from headstart.components.core.training.weight_interpolation import best_mixture

    with fine_tuning_work(head, train, validation, recipe, seed, record_uri, checkpoint_uri, accelerators) as work:
        plan, start = work.plan, values_of(work.tail.trainable_variables)
        reason = "no mixture has a lower validation loss"
        try:
            epochs = fit(work.tail, work.train, work.validation, plan, work.paces, work.checkpoint)
        except NoEpoch as error:
            epochs, reason = [], str(error)
        weights = class_weights(plan.training, work.train.labels)
        mixture = best_mixture(work.tail, start, SHARES if epochs else (), work.validation, weights)
    if mixture.share == 0:
        event("fine_tuning_kept_the_head", reason=reason, loss=mixture.loss)
    info = ModelInfo(
        stage=plan.stage,
        classes=before.classes,
        image_size=before.image_size,
        backbone=before.backbone,
        recipe=before.recipe | recipe.model_dump(include={"augmentation"}) | {plan.stage: plan.training.model_dump()},
        dataset={"train": work.learn.digest, "validation": work.choose.digest},
        metrics={
            "validation_loss": mixture.loss,
            "validation_accuracy": mixture.accuracy,
            "fine_tuned_share": mixture.share,
        },
        versions=library_versions(),
        seed=seed,
        seconds=before.seconds + time.monotonic() - started + work.seconds_before,
        backbone_sha256=before.backbone_sha256,
        parent=before.sha256,
        max_side=work.learn.max_side,
        ranges=work.learn.ranges,
    )
    if tensorboard:
        write_event_files(tensorboard, plan.stage, epochs)
    make_empty_folder(model)
    write_seen(model, [train, validation], head)
    write_answers(model, validation, mixture.answers)
    save_model(model, work.network, info, [*read_history(head), *epochs])
    event("model", stage=plan.stage, **info.metrics)
    return info


@contextlib.contextmanager
def fine_tuning_work(
    head: Path,
    train: Path,
    validation: Path,
    recipe: Recipe,
    seed: int,
    record_uri: str = "",
    checkpoint_uri: str = "",
    accelerators: int = 0,
) -> Iterator["Work"]:
    """The top layers on their record, all but trained; the arguments of `fine_tune`.

    Args:
        head: Model artifact of the head stage.
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and the mixture.
        recipe: How to train, resolved, with the head's backbone and image size.
        seed: Of everything drawn at random.
        record_uri: Where records of frozen features are shared; empty: nowhere.
        checkpoint_uri: Where checkpoints are; empty: there are none.
        accelerators: How many GPUs there have to be.
    """
    plan, tuning = Plan.of(recipe, "fine_tuning", seed), recipe.fine_tuning
    classes = read_model_info(head).classes
    learn, choose = read_training_infos(train, validation)
    if learn.classes != classes:
        raise HeadstartError(
            f"{train} has classes {learn.classes}, the model {classes}; pass the data it was trained on"
        )

    start_tensorflow()
    from headstart.components.core.features.cache import compute_or_load_features, limit_views_to_room
    from headstart.components.core.networks.classifier import unfreeze
    from headstart.components.core.networks.devices import seed_and_select_devices
    from headstart.components.core.networks.saving import load_model
    from headstart.components.core.training.end_to_end import end_to_end
    from headstart.components.core.training.fit import Work
    from headstart.components.core.training.optimizers import block_paces
    from headstart.components.core.training.resume import open_checkpoint

    seed_and_select_devices(plan, accelerators)
    network = load_model(head)
    base = network.get_layer(recipe.backbone)
    parts = unfreeze(network, recipe.backbone, tuning.unfreeze_from)
    plan = limit_views_to_room(parts.front, train, validation, plan)
    checkpoint = open_checkpoint(checkpoint_uri, plan, network, [learn.digest, choose.digest])
    event(
        "network",
        backbone=recipe.backbone,
        unfrozen_from=tuning.unfreeze_from,
        trainable_tensors=len(parts.tail.trainable_variables),
        trainable_parameters=sum(math.prod(weight.shape) for weight in parts.tail.trainable_variables),
    )
    if not plan.training.views(learn.images):
        parts = end_to_end(parts, plan)
    with compute_or_load_features(parts.front, train, validation, plan, record_uri) as records:
        paces = block_paces(base, parts.tail.trainable_variables, tuning)
        yield Work(learn, choose, plan, network, parts.tail, *records, paces, checkpoint)
