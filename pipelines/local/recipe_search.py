"""Search for a recipe: Optuna proposes settings, each is trained, and validation images choose."""

import dataclasses
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.model import ModelInfo, read_model_info
from headstart.components.core.networks.start import free_networks
from headstart.components.core.recipes.recipe import Recipe, apply_settings
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.recipes.search_space import Dimension, default_space, larger_image_size, read_setting
from headstart.components.core.storage.stores import Tree
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import HeadstartError
from headstart.components.fine_tune.step import fine_tune
from headstart.components.train_head.step import train_head
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.search_trials import Search, Trial, open_search, write_trial
from headstart.pipelines.local.split_data import SPLITTING_TASKS, make_splits
from headstart.pipelines.local.tensorflow_import import import_tensorflow
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.display import RunDisplay
from headstart.pipelines.progress.events import VariantStarted

if TYPE_CHECKING:
    import optuna

_TASK = "search"
_RANDOM_TRIALS = 8
"""Trials that are drawn at random before others inform the choice; Optuna's own 10 are many for half an hour."""

_PRUNED_ABOVE = 1.5
"""A head whose validation loss is more than this many times that of the best head is not fine-tuned."""

_DRAWS = 20
"""Proposals in a row that were tried before, after which there is nothing new to be found."""

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


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: All trials that have ended, those of earlier calls included.
        best: The one with the lowest validation loss.
        varied: The recipe that was varied.
        recipe: The recipe with the settings of the best trial.
        validation_images: Number of validation images.
    """

    trials: Sequence[Trial]
    best: Trial
    varied: Recipe
    recipe: Recipe
    validation_images: int


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
    recipe = resolve_recipe(parameters.read_recipe())
    space = request.space if request.space is not None else default_space(recipe, _takes_larger_images(recipe))
    train, validation = make_splits(parameters, folder, display)
    infos = [read_dataset_info(each) for each in (train, validation)]
    search = Search(
        [each.digest for each in infos], recipe.redact(), [each.describe() for each in space], parameters.seed
    )
    trials = open_search(request.tree, search)
    import_tensorflow()
    inputs = TrainingInputs(train, validation, recipe, parameters.seed, parameters.record_uri)
    heads = _Heads(folder)
    with show_task(display, _TASK):
        while all(each.settings for each in trials) or time.monotonic() - started < request.budget:
            number = trials[-1].number + 1 if trials else 0
            as_it_is = all(each.settings for each in trials)
            settings = {} if as_it_is else propose_settings(space, trials, recipe, parameters.seed)
            if settings is None:
                break
            display.show(VariantStarted(f"trial {number}"))
            trial = _run_trial(number, settings, inputs, trials, heads)
            if as_it_is and trial.state == "failed":
                raise HeadstartError(f"the recipe cannot be trained with as it is: {trial.error}")
            write_trial(request.tree, trial)
            trials.append(trial)
            report(trial)
    best = choose_best(trials)
    return SearchResult(trials, best, recipe, apply_settings(recipe, best.settings), infos[1].images)


def choose_best(trials: Sequence[Trial]) -> Trial:
    """Chooses the trial with the lowest validation loss; of equal ones the first."""
    return min((each for each in trials if each.loss is not None), key=lambda each: each.loss or 0.0)


def propose_settings(
    space: Sequence[Dimension], trials: Sequence[Trial], recipe: Recipe, seed: int
) -> dict[str, Any] | None:
    """Proposes settings that have not been tried, in the light of the trials so far.

    The proposal depends on nothing else, so a search that was stopped goes on as it would have. Source: J. Bergstra
    et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011 (TPE), by Optuna.

    Args:
        space: Keys that vary, with their values.
        trials: Trials so far.
        recipe: The recipe that is varied.
        seed: Random seed.

    Returns:
        The settings; None: everything that was proposed had been tried.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {each.key: _to_distribution(each) for each in space}
    known = [_complete_settings(trial, space, recipe) for trial in trials]
    for draw in range(_DRAWS):
        drawn = np.random.default_rng((seed, len(trials), draw)).integers(2**31)
        with warnings.catch_warnings():
            # Optuna calls multivariate sampling experimental.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, multivariate=True, seed=int(drawn))
        study = optuna.create_study(sampler=sampler)
        for trial, settings in zip(trials, known, strict=True):
            if all(each.contains(settings[each.key]) for each in space):
                study.add_trial(_to_optuna(trial, settings, space, distributions))
        asked = study.ask(distributions).params
        proposed = {each.key: _from_optuna(each, asked[each.key]) for each in space}
        if proposed not in known:
            return proposed
    return None


def _complete_settings(trial: Trial, space: Sequence[Dimension], recipe: Recipe) -> dict[str, Any]:
    """Settings of a trial; those that it leaves out, as the recipe has them."""
    return {each.key: read_setting(recipe, each.key) for each in space} | trial.settings


def _to_distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if dimension.values:
        # By their places, since a recipe's 0 may be the dimension's 0.0.
        return distributions.CategoricalDistribution(range(len(dimension.values)))
    if dimension.integer:
        low, high = int(dimension.low), int(dimension.high)
        return distributions.IntDistribution(low, high, log=dimension.logarithmic)
    return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.logarithmic)


def _from_optuna(dimension: Dimension, value: Any) -> Any:
    if dimension.values:
        return dimension.values[value]
    # As many digits as a trained model can tell apart, and a person can read.
    return value if dimension.integer else min(max(float(f"{value:.3g}"), dimension.low), dimension.high)


def _to_optuna(
    trial: Trial,
    settings: dict[str, Any],
    space: Sequence[Dimension],
    distributions: "dict[str, optuna.distributions.BaseDistribution]",
) -> "optuna.trial.FrozenTrial":
    import optuna

    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state={"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state],
        value=trial.loss,
        params={
            each.key: each.values.index(settings[each.key]) if each.values else settings[each.key] for each in space
        },
        distributions=distributions,
        intermediate_values={} if trial.head_loss is None else {0: trial.head_loss},
    )


class _Heads:
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


def _run_trial(
    number: int, settings: dict[str, Any], inputs: TrainingInputs, before: Sequence[Trial], heads: _Heads
) -> Trial:
    started = time.monotonic()

    def end(**found: Any) -> Trial:
        return Trial(number, settings, seconds=round(time.monotonic() - started, 1), **found)

    try:
        own = dataclasses.replace(inputs, recipe=apply_settings(inputs.recipe, settings))
        head, head_info = heads.train_or_reuse(own)
        head_loss = head_info.metrics["validation_loss"]
        best_head = min((each.head_loss for each in before if each.head_loss is not None), default=head_loss)
        if head_loss > _PRUNED_ABOVE * best_head:
            return end(state="pruned", head_loss=head_loss)
        with tempfile.TemporaryDirectory(prefix="headstart-") as model:
            metrics = fine_tune(head, own, Path(model) / "model").metrics
        loss, accuracy = metrics["validation_loss"], metrics["validation_accuracy"]
        return end(state="complete", head_loss=head_loss, loss=loss, accuracy=accuracy)
    except HeadstartError as error:
        return end(state="failed", error=str(error))
    finally:
        # Those of all trials would add up.
        free_networks()


def _takes_larger_images(recipe: Recipe) -> bool:
    """Whether the backbone takes images of `larger_image_size`; some take those of one size or of some sizes only."""
    try:
        resolve_recipe(recipe.override(image_size=larger_image_size(recipe)))
    except HeadstartError:
        return False
    return True
