"""Trains a new head on a frozen, pretrained backbone."""

import dataclasses
from pathlib import Path

from headstart.components.core.backbones import get_backbone
from headstart.components.core.dataset import read_training_infos
from headstart.components.core.files import fresh_folder
from headstart.components.core.history import best_epoch
from headstart.components.core.logs import event, start_logging
from headstart.components.core.model import ModelInfo, write_seen
from headstart.components.core.plan import Plan
from headstart.components.train_head.probe import probe_data, write_probe

WEIGHT_DECAY = 1.0
"""AdamW's decay for the head: as many inputs as images need a strong one.

On MobileNetV2's features of 2,000 cats and dogs it lowers the validation loss from 0.078 to 0.076 against Keras'
0.004, mean of six splits; 5 lowers the error a little more, and leaves the probabilities too timid (0.089).
"""


@dataclasses.dataclass(frozen=True)
class HeadSettings:
    """How the head is trained.

    Attributes:
        backbone: A name from the table.
        weights: The backbone's pretrained weights: empty for its own, ``none``, a file, or an address.
        image_size: Side in pixels; 0: the backbone's own.
        plan: Of its training.
    """

    backbone: str
    weights: str
    image_size: int
    plan: Plan


def train_head(train: Path, validation: Path, model: Path, settings: HeadSettings) -> ModelInfo:
    """Records what the frozen backbone says of every image, once, and trains the head on the record.

    The record also tells which labels are doubtful and what more images would bring: see `probe_data`.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Folder of the model artifact, made anew.
        settings: How to train.

    Raises:
        HeadstartError: A setting is wrong, or the weights cannot be had or do not fit.
    """
    start_logging()
    plan = settings.plan
    backbone = get_backbone(settings.backbone)
    size = backbone.resolve_image_size(settings.image_size)
    learn, choose = read_training_infos(train, validation)

    import keras

    from headstart.components.core.network.artifact import library_versions, save_model
    from headstart.components.core.network.classifier import BACKBONE_END, build_classifier, cut
    from headstart.components.core.network.record_cache import recorded
    from headstart.components.core.network.training import fit
    from headstart.components.core.network.weights import pretrained_backbone, weights_digest

    keras.utils.set_random_seed(plan.seed)
    base = pretrained_backbone(backbone, size, settings.weights)
    network = build_classifier(base, backbone.preprocessing, backbone.head, len(learn.classes), size)
    tensors = len(network.trainable_variables)
    base.trainable = False
    event(
        "network",
        backbone=backbone.name,
        image_size=size,
        parameters=network.count_params(),
        trainable_tensors_before=tensors,
        trainable_tensors=len(network.trainable_variables),
    )
    parts = cut(network, base.name, BACKBONE_END)
    with recorded(parts.front, train, validation, plan) as records:
        epochs = fit(parts.tail, *records, plan, WEIGHT_DECAY)
        plain = [record.activations[0] for record in records]
        probed = probe_data([train, validation], plain, base.output.shape[-1], plan.seed)
    kept = best_epoch(epochs)
    info = ModelInfo(
        stage=plan.stage,
        classes=learn.classes,
        image_size=size,
        backbone=backbone.name,
        recipe=dataclasses.asdict(settings) | {"image_size": size, "backbone_sha256": weights_digest(base)},
        dataset={"train": learn.digest, "validation": choose.digest},
        metrics={"validation_loss": kept.validation_loss, "validation_accuracy": kept.validation_accuracy},
        versions=library_versions(),
        seed=plan.seed,
        max_side=learn.max_side,
    )
    fresh_folder(model)
    write_seen(model, [train, validation])
    write_probe(model, probed)
    save_model(model, network, info, epochs)
    event("model", stage=plan.stage, epoch=kept.epoch, **info.metrics)
    return info
