"""Training in processes of their own, which can be killed and started again."""

import os
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from headstart.components.core.recipes.recipe import load_recipe
from support.forked import FORKED

HEAD_EPOCHS, TUNING_EPOCHS = 8, 24
SETTINGS = {
    "backbone": "sketchnet",
    "image_size": 32,
    "deterministic": True,
    "augmentation.rotation": 0,
    "augmentation.zoom": [0, 0],
    "augmentation.width_shift": 0,
    "augmentation.height_shift": 0,
    "head.hidden_units": 8,
    "head.dropout": 0.2,
    "head.augmented_views": 2,
    "head.epochs": HEAD_EPOCHS,
    "head.batch_size": 16,
    "head.learning_rate": 1e-2,
    "fine_tuning.unfreeze_from": "block3",
    "fine_tuning.augmented_views": 0,
    "fine_tuning.mixup": 0.1,
    "fine_tuning.epochs": TUNING_EPOCHS,
    "fine_tuning.steps_per_epoch": 8,
    "fine_tuning.batch_size": 16,
    "fine_tuning.learning_rate": 1e-3,
}


def start_training(
    splits: Mapping[str, Path],
    folder: Path,
    log: Path,
    checkpoints: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    disk_seconds: float = 0.0,
    epoch_seconds: float = 0.0,
) -> ForkServerProcess:
    """Trains a head on a record and fine-tunes it end to end, in a new process.

    Args:
        splits: Dataset artifacts.
        folder: Folder that receives the models `head` and `tuned`.
        log: File to which its lines are appended.
        checkpoints: Addresses of checkpoints by training phase; None: none.
        settings: Environment variables.
        disk_seconds: Extra time of the disk for every file that is synced.
        epoch_seconds: Extra time of every epoch with a checkpoint, after its state is on its way.
    """
    delays = disk_seconds, epoch_seconds
    arguments = dict(splits), folder, log, dict(checkpoints or {}), dict(settings or {}), *delays
    process = FORKED.Process(target=_train, args=arguments)
    process.start()
    return process


def _train(
    splits: dict[str, Path],
    folder: Path,
    log: Path,
    checkpoints: dict[str, str],
    settings: dict[str, str],
    disk_seconds: float,
    epoch_seconds: float,
) -> None:
    from headstart.components.core.training.resume import CheckpointWriter
    from headstart.components.core.training.training_inputs import TrainingInputs
    from headstart.components.fine_tune.step import fine_tune
    from headstart.components.train_head.step import train_head

    os.environ.update(settings)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
    sync, begin_epoch = os.fsync, CheckpointWriter.on_epoch_begin

    def sync_slowly(file: int) -> None:
        time.sleep(disk_seconds)
        sync(file)

    def begin_epoch_slowly(writer: CheckpointWriter, epoch: int, logs: dict[str, float] | None = None) -> None:
        begin_epoch(writer, epoch, logs)
        time.sleep(epoch_seconds)

    os.fsync, CheckpointWriter.on_epoch_begin = sync_slowly, begin_epoch_slowly
    recipe, data = load_recipe(settings=SETTINGS), (splits["train"], splits["validation"])
    # As in a pipeline, what is done is not done again.
    if not (folder / "head" / "model.json").exists():
        train_head(TrainingInputs(*data, recipe, 0, checkpoint_uri=checkpoints.get("head", "")), folder / "head")
    uri = checkpoints.get("fine_tuning", "")
    fine_tune(folder / "head", TrainingInputs(*data, recipe, 0, checkpoint_uri=uri), folder / "tuned")
