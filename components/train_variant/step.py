"""Trains a model by one of the three methods in one go, as a cluster's pods are dear."""

import tempfile
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.model import ModelInfo
from headstart.components.core.recipes.variants import Variant, read_variant
from headstart.components.core.storage.cache import empty_cache
from headstart.components.core.storage.files import full_disk_in_one_line
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_from_scratch.step import train_from_scratch
from headstart.components.train_head.step import train_head


@full_disk_in_one_line()
def train_variant(
    train: Path,
    validation: Path,
    model: Path,
    variant: dict[str, Any],
    seed: int,
    checkpoint_uri: str = "",
    accelerators: int = 0,
    tensorboard: Path | None = None,
) -> ModelInfo:
    """Does what the single steps of a method do one after the other, with the same result.

    Nothing that another variant or run has recorded is taken over, and so there is no address for records: what a
    variant takes could not be compared. Epochs are taken over from checkpoints, since each knows its own seconds, and
    they count. Two variants that train the same head share its checkpoint.

    Args:
        train: Dataset artifact to learn from.
        validation: Dataset artifact that chooses the epoch.
        model: Folder of the model artifact, made anew.
        variant: The fields of a `Variant`.
        seed: Of everything drawn at random.
        checkpoint_uri: Folder, or gs:// or s3:// address, of checkpoints to write and to go on from; empty: none.
        accelerators: How many GPUs there have to be.
        tensorboard: Folder that receives event files of how training went; None: none are written.

    Raises:
        HeadstartError: The variant is none, or a step fails; the message names the variant.
    """
    start_logging()
    asked = read_variant(variant)
    event("variant", variant=asked.name, method=asked.method)
    try:
        with empty_cache("records"):
            more = {"checkpoint_uri": checkpoint_uri, "accelerators": accelerators, "tensorboard": tensorboard}
            return _train(train, validation, model, asked, seed, **more)
    except HeadstartError as error:
        raise HeadstartError(f"variant {asked.name!r}: {error}") from None


def _train(train: Path, validation: Path, model: Path, variant: Variant, seed: int, **more: Any) -> ModelInfo:
    recipe = variant.training()
    if variant.method == "from_scratch":
        return train_from_scratch(train, validation, model, recipe, seed, **more)
    if variant.method == "head":
        return train_head(train, validation, model, recipe, seed, to_be_tuned=False, **more)
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        head = Path(folder) / "head"
        train_head(train, validation, head, recipe, seed, **more)
        return fine_tune(head, train, validation, model, recipe, seed, **more)
