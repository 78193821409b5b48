"""Search for a recipe: Optuna proposes settings, each is trained, and validation images choose."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.search_trials import (
    Trial,
    open_search,
    raise_if_recipe_failed,
    write_trial,
)
from headstart.components.core.recipes.search_space import Dimension
from headstart.components.core.reports.search_words import SearchResult
from headstart.components.core.storage.stores import Tree
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.propose_trials.step import plan_search, propose_round
from headstart.components.run_trial.step import TrainedHeads, run_trial
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.split_data import SPLITTING_TASKS, make_splits
from headstart.pipelines.local.tensorflow_import import import_tensorflow
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import VariantStarted

_TASK = "search"
TASKS = (*SPLITTING_TASKS, _TASK)
"""Tasks that `search_recipe` shows."""


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """A search.

    Attributes:
        parameters: Parameters of a run, with absolute local paths.
        space: Keys that vary; None: those of `default_space`.
        budget: Seconds after which no trial is begun.
        tree: Folder of the trials.
    """

    parameters: Parameters
    space: Sequence[Dimension] | None
    budget: float
    tree: Tree


def search_recipe(
    request: SearchRequest, folder: Path, display: RunDisplay, report: Callable[[Trial], None]
) -> SearchResult:
    """Splits the data as a run does, and trains with recipe after recipe until the budget is spent.

    The first trial is the recipe as it is. The test images are not looked at. Trials that share a head share its
    training, and all share cached features. Where the head alone is far behind the best head, it is not fine-tuned.

    Args:
        request: The search.
        folder: Folder for datasets and models.
        display: Display of the progress.
        report: Function that shows a trial that has ended.

    Raises:
        HeadstartError: If the recipe cannot be trained with as it is, or the folder of the trials holds another
            search.
    """
    started = time.monotonic()
    parameters = request.parameters
    plan = plan_search(parameters.read_recipe(), request.space or (), parameters.seed)
    train, validation = make_splits(parameters, folder, display)
    trials = open_search(request.tree, plan.identify(train, validation))
    import_tensorflow()
    inputs = TrainingInputs(train, validation, plan.recipe, parameters.seed, parameters.record_uri)
    heads = TrainedHeads(folder)
    with show_task(display, _TASK):
        while all(each.settings for each in trials) or time.monotonic() - started < request.budget:
            proposed = propose_round(plan, trials, 1)
            if not proposed:
                break
            display.show(VariantStarted(f"trial {proposed[0].number}"))
            trial = run_trial(proposed[0], inputs, heads)
            raise_if_recipe_failed([trial])
            write_trial(request.tree, trial)
            trials.append(trial)
            report(trial)
    return SearchResult(trials, plan.recipe, read_dataset_info(validation).images)
