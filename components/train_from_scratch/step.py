"""Trains a small convnet from random weights: what the pictures alone can teach, to compare transfer with."""

import dataclasses
from pathlib import Path

from headstart.components.core.backbones import Head, get_backbone
from headstart.components.core.dataset import read_training_infos
from headstart.components.core.files import fresh_folder
from headstart.components.core.history import best_epoch
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import ModelInfo, write_seen
from headstart.components.core.plan import Plan

# "Deep Learning with R", chapter 5.
_HEAD = Head("flatten", hidden_units=512)


@dataclasses.dataclass(frozen=True)
class ScratchSettings:
    """How the convnet is trained.

    Attributes:
        backbone: The backbone it is compared with, whose image size it takes for 0.
        image_size: Side in pixels; 0: the backbone's own.
        plan: Of its training.
    """

    backbone: str
    image_size: int
    plan: Plan


def train_from_scratch(train: Path, validation: Path, model: Path, settings: ScratchSettings) -> ModelInfo:
    """Trains the convnet, all of it, and keeps the epoch with the least validation loss.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Folder of the model artifact, made anew.
        settings: How to train.

    Raises:
        HeadstartError: A setting is wrong.
    """
    start_logging()
    plan = settings.plan
    size = get_backbone(settings.backbone).resolve_image_size(settings.image_size)
    learn, choose = read_training_infos(train, validation)

    import keras

    from headstart.components.core.network.artifact import library_versions, save_model
    from headstart.components.core.network.classifier import ALL, build_classifier, cut
    from headstart.components.core.network.convnet import CONVNET, build_convnet
    from headstart.components.core.network.record_cache import recorded
    from headstart.components.core.network.training import fit

    keras.utils.set_random_seed(plan.seed)
    network = build_classifier(build_convnet(size), "tf", _HEAD, len(learn.classes), size)
    event("network", backbone=CONVNET, image_size=size, parameters=network.count_params())
    parts = cut(network, CONVNET, ALL)
    with recorded(parts.front, train, validation, plan) as records:
        epochs = fit(parts.tail, *records, plan)
    kept = best_epoch(epochs)
    info = ModelInfo(
        stage=plan.stage,
        classes=learn.classes,
        image_size=size,
        backbone=CONVNET,
        recipe=dataclasses.asdict(settings) | {"image_size": size},
        dataset={"train": learn.digest, "validation": choose.digest},
        metrics={"validation_loss": kept.validation_loss, "validation_accuracy": kept.validation_accuracy},
        versions=library_versions(),
        seed=plan.seed,
        max_side=learn.max_side,
    )
    fresh_folder(model)
    write_seen(model, [train, validation])
    save_model(model, network, info, epochs)
    event("model", stage=plan.stage, epoch=kept.epoch, **info.metrics)
    return info
