"""Trains one trial of a search for a recipe: a head, and fine-tuning unless the head is far behind."""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.artifacts.search_trials import ProposedTrial, Trial
from headstart.components.core.networks.start import free_networks, start_tensorflow
from headstart.components.core.recipes.recipe import Recipe, apply_settings
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError, Unavailable, first_line
from headstart.components.core.util.logs import event, start_logging
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_head.step import train_head

_PRUNED_ABOVE = 1.5
"""A head whose validation loss is more than this many times that of the best head is not fine-tuned."""


class TrainedHeads:
    """Heads that the trials of this process have trained, by what their training depends on.

    Args:
        folder: Folder for models.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trained: list[Recipe] = []

    def train_or_reuse(self, inputs: TrainingInputs) -> tuple[Path, ModelInfo]:
        """Trains a head, unless it has been trained already; returns the folder of its model."""
        wanted = inputs.recipe.model_copy(update={"fine_tuning": None, "from_scratch": None})
        if wanted in self._trained:
            head = self.folder / f"head-{self._trained.index(wanted)}"
            return head, read_model_info(head)
        head = self.folder / f"head-{len(self._trained)}"
        info = train_head(inputs, head)
        self._trained.append(wanted)
        return head, info


@explain_full_disk()
def run_trial(proposed: ProposedTrial, inputs: TrainingInputs, heads: TrainedHeads) -> Trial:
    """Trains with the settings of a trial; the model is not kept.

    Args:
        proposed: The trial.
        inputs: Data, seed and addresses, and the recipe that is varied, resolved.
        heads: Heads of earlier trials of this process.

    Returns:
        The trial; it has failed where the recipe with its settings cannot be trained with.

    Raises:
        HeadstartError: If there are too few GPUs.
        Unavailable: If a store does not answer, or a disk is full.
    """
    start_logging()
    start_tensorflow()
    from headstart.components.core.networks.devices import check_accelerators

    # Another machine may have them: that says nothing about the settings.
    check_accelerators("a trial", inputs.accelerators)
    event("variant", variant=f"trial {proposed.number}")
    trial = _train(proposed, inputs, heads)
    found = {name: value for name, value in vars(trial).items() if value not in (None, "") and name != "settings"}
    event("trial", **found)
    return trial


def _train(proposed: ProposedTrial, inputs: TrainingInputs, heads: TrainedHeads) -> Trial:
    import tensorflow

    started = time.monotonic()

    def end(**found: Any) -> Trial:
        return Trial(proposed.number, proposed.settings, seconds=round(time.monotonic() - started, 1), **found)

    try:
        own = dataclasses.replace(inputs, recipe=apply_settings(inputs.recipe, proposed.settings))
        head, head_info = heads.train_or_reuse(own)
        head_loss = head_info.metrics["validation_loss"]
        best = proposed.best_head_loss
        if best is not None and head_loss > _PRUNED_ABOVE * best:
            return end(state="pruned", head_loss=head_loss)
        with tempfile.TemporaryDirectory(prefix="headstart-") as model:
            metrics = fine_tune(head, own, Path(model) / "model").metrics
        loss, accuracy = metrics["validation_loss"], metrics["validation_accuracy"]
        return end(state="complete", head_loss=head_loss, loss=loss, accuracy=accuracy)
    except Unavailable:
        # That says nothing about the settings either; the trial can be run again.
        raise
    except HeadstartError as error:
        return end(state="failed", error=str(error))
    except (MemoryError, tensorflow.errors.ResourceExhaustedError) as error:
        return end(state="failed", error=f"out of memory ({first_line(error)})")
    finally:
        # Those of all trials would add up.
        free_networks()
