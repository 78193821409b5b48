"""Fine-tunes the top layers of a backbone under a head that is trained already."""

import dataclasses
import math
from pathlib import Path

from headstart.components.core.backbones import get_backbone
from headstart.components.core.dataset import read_training_infos
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import fresh_folder
from headstart.components.core.history import read_history
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import ModelInfo, read_model_info, write_seen
from headstart.components.core.plan import Plan

SHARES = (0.5, 1.0)
"""Shares of the fine-tuned weights in the mixtures that are tried; 0 is the head-trained model itself."""


@dataclasses.dataclass(frozen=True)
class FineTuneSettings:
    """How the top layers are fine-tuned.

    Attributes:
        unfreeze_from: First layer or block of the backbone that is trained; empty: the backbone's own choice.
        plan: Of the training; its views are recorded at the cut.
    """

    unfreeze_from: str
    plan: Plan


def fine_tune(head: Path, train: Path, validation: Path, model: Path, settings: FineTuneSettings) -> ModelInfo:
    """Trains the head and the backbone's top layers together, BatchNorm kept in inference mode.

    The layers below the cut run once over every image; training passes only the layers above it. The result is
    the mixture of the weights before and after, linear in each weight, that has the least validation loss
    (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, arXiv:2109.01903). The weights before
    are among the candidates: on validation loss the result is never worse than the head it started from.

    Args:
        head: Model artifact of the head stage.
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch and the mixture.
        model: Folder of the model artifact, made anew.
        settings: How to train.

    Raises:
        HeadstartError: A setting is wrong, or the data has other classes than the model.
    """
    start_logging()
    plan = settings.plan
    before = read_model_info(head)
    learn, choose = read_training_infos(train, validation)
    if learn.classes != before.classes:
        raise HeadstartError(
            f"{train} has classes {learn.classes}, the model {before.classes}; pass the data it was trained on"
        )
    point = settings.unfreeze_from or get_backbone(before.backbone).unfreeze_from

    import keras

    from headstart.components.core.network.artifact import library_versions, load_model, save_model
    from headstart.components.core.network.classifier import unfreeze
    from headstart.components.core.network.mixing import best_mixture
    from headstart.components.core.network.record_cache import recorded
    from headstart.components.core.network.training import fit

    keras.utils.set_random_seed(plan.seed)
    network = load_model(head)
    parts = unfreeze(network, before.backbone, point)
    event(
        "network",
        backbone=before.backbone,
        unfrozen_from=point,
        trainable_tensors=len(parts.tail.trainable_variables),
        trainable_parameters=sum(math.prod(weight.shape) for weight in parts.tail.trainable_variables),
    )
    with recorded(parts.front, train, validation, plan) as (learned, chosen):
        start = [weight.numpy() for weight in parts.tail.trainable_variables]
        epochs = fit(parts.tail, learned, chosen, plan)
        mixture = best_mixture(parts.tail, start, SHARES, chosen)
    if mixture.share == 0:
        event("fine_tuning_kept_the_head", reason="no mixture has a lower validation loss", loss=mixture.loss)
    info = ModelInfo(
        stage=plan.stage,
        classes=before.classes,
        image_size=before.image_size,
        backbone=before.backbone,
        recipe=before.recipe | {"fine_tuning": dataclasses.asdict(settings) | {"unfreeze_from": point}},
        dataset={"train": learn.digest, "validation": choose.digest},
        metrics={
            "validation_loss": mixture.loss,
            "validation_accuracy": mixture.accuracy,
            "fine_tuned_share": mixture.share,
        },
        versions=library_versions(),
        seed=plan.seed,
        parent=before.sha256,
        max_side=learn.max_side,
    )
    fresh_folder(model)
    write_seen(model, [train, validation], head)
    save_model(model, network, info, [*read_history(head), *epochs])
    event("model", stage=plan.stage, **info.metrics)
    return info
