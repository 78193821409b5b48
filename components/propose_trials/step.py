"""Proposes the next trials of a search for a recipe: Optuna learns from those that have ended."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.components.core.artifacts.dataset import read_dataset_info
from headstart.components.core.artifacts.search_trials import EndedTrials, ProposedTrial, Search, Trial
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.recipes.search_space import (
    Dimension,
    check_optuna,
    check_space,
    default_space,
    larger_image_size,
    read_setting,
)
from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, start_logging

if TYPE_CHECKING:
    import optuna

_RANDOM_TRIALS = 8
"""Trials that are drawn at random before others inform the choice; Optuna's own 10 are many for half an hour."""

_DRAWS = 20
"""Proposals in a row that were tried before, after which there is nothing new to be found."""


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """A search, as far as its proposals depend on it.

    Attributes:
        recipe: The recipe that is varied, resolved.
        space: Keys that vary, with their values.
        seed: Random seed.
    """

    recipe: Recipe
    space: Sequence[Dimension]
    seed: int

    def identify(self, train: Path, validation: Path) -> Search:
        """The search on a training and a validation set; its trials are not those of another one."""
        data = [read_dataset_info(each).digest for each in (train, validation)]
        return Search(data, self.recipe.redact(), [each.describe() for each in self.space], self.seed)


def plan_search(recipe: Recipe, space: Sequence[Dimension], seed: int) -> SearchPlan:
    """Resolves the recipe that a search varies, and the keys.

    Args:
        recipe: The recipe.
        space: Keys that vary, with their values; empty: those of `default_space`.
        seed: Random seed.

    Raises:
        HeadstartError: If the recipe does not suit its backbone, or does not take a value.
    """
    resolved = resolve_recipe(recipe)
    check_space(space, recipe)
    return SearchPlan(resolved, space or default_space(resolved, _takes_larger_images(resolved)), seed)


@explain_full_disk()
def propose_trials(
    plan: SearchPlan, splits: tuple[Path, Path], ended: EndedTrials, count: int, folder: Path
) -> list[ProposedTrial]:
    """Records the trials of the round before, and proposes those of the next one.

    Args:
        plan: The search.
        splits: Dataset artifacts of the training and of the validation set.
        ended: Trials that have ended.
        count: Number of trials to propose.
        folder: Folder that receives all trials so far, created anew.

    Returns:
        Fewer trials where everything has been tried.

    Raises:
        HeadstartError: If Optuna is missing, the count is below 1, the recipe as it is has failed, or the trials
            cannot be recorded.
    """
    start_logging()
    check_optuna()
    if count < 1:
        raise HeadstartError(f"trials_per_round {count}: give 1 or more")
    log_phase("proposing")
    trials = ended.record(folder, plan.identify(*splits))
    proposed = propose_round(plan, trials, count)
    for each in proposed:
        event("proposed", trial=each.number, settings=each.settings)
    event("proposals", trials=len(trials), proposed=len(proposed))
    return proposed


def propose_round(plan: SearchPlan, trials: Sequence[Trial], count: int) -> list[ProposedTrial]:
    """Proposes trials that may run at the same time.

    The first trial of a search is the recipe as it is. A proposal depends on the trials that have ended, on the
    proposals before it in its round, and on the seed.

    Args:
        plan: The search.
        trials: Trials that have ended, by their numbers.
        count: Number of trials to propose.

    Returns:
        Fewer trials where everything has been tried.
    """
    first = trials[-1].number + 1 if trials else 0
    best = min((each.head_loss for each in trials if each.head_loss is not None), default=None)
    proposed: list[dict[str, Any]] = []
    while len(proposed) < count:
        begins = not proposed and all(each.settings for each in trials)
        settings = {} if begins else propose_settings(plan, trials, proposed)
        if settings is None:
            break
        proposed.append(settings)
    return [ProposedTrial(first + at, settings, best) for at, settings in enumerate(proposed)]


def propose_settings(
    plan: SearchPlan, trials: Sequence[Trial], pending: Sequence[dict[str, Any]] = ()
) -> dict[str, Any] | None:
    """Proposes settings that have not been tried, in the light of the trials so far.

    The proposal depends on nothing else, so a search that was stopped goes on as it would have. Source: J. Bergstra
    et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011 (TPE), by Optuna. Trials that are pending
    count as bad ones where the estimator is used (constant liar), so that those of a round differ.

    Args:
        plan: The search.
        trials: Trials so far.
        pending: Settings of trials that run at the same time, and whose results are not known.

    Returns:
        The settings; None: everything that was proposed had been tried.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = plan.space
    distributions = {each.key: _to_distribution(each) for each in space}
    ended: list[Trial | None] = [*trials, *(None for _ in pending)]
    known = [_complete_settings(each, plan) for each in (*(trial.settings for trial in trials), *pending)]
    for draw in range(_DRAWS):
        drawn = np.random.default_rng((plan.seed, len(known), draw)).integers(2**31)
        with warnings.catch_warnings():
            # Optuna calls multivariate sampling and the constant liar experimental.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=_RANDOM_TRIALS, multivariate=True, constant_liar=bool(pending), seed=int(drawn)
            )
        study = optuna.create_study(sampler=sampler)
        for trial, settings in zip(ended, known, strict=True):
            if all(each.contains(settings[each.key]) for each in space):
                study.add_trial(_to_optuna(trial, settings, space, distributions))
        asked = study.ask(distributions).params
        proposed = {each.key: _from_optuna(each, asked[each.key]) for each in space}
        if proposed not in known:
            return proposed
    return None


def _complete_settings(settings: dict[str, Any], plan: SearchPlan) -> dict[str, Any]:
    """Settings of a trial; those that it leaves out, as the recipe has them."""
    return {each.key: read_setting(plan.recipe, each.key) for each in plan.space} | settings


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
    trial: Trial | None,
    settings: dict[str, Any],
    space: Sequence[Dimension],
    distributions: "dict[str, optuna.distributions.BaseDistribution]",
) -> "optuna.trial.FrozenTrial":
    """A trial as Optuna knows it; None: one that is pending."""
    import optuna

    states = optuna.trial.TrialState
    known = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
    return optuna.trial.create_trial(
        state=known[trial.state] if trial else states.RUNNING,
        value=trial.loss if trial else None,
        params={
            each.key: each.values.index(settings[each.key]) if each.values else settings[each.key] for each in space
        },
        distributions=distributions,
        intermediate_values={0: trial.head_loss} if trial and trial.head_loss is not None else {},
    )


def _takes_larger_images(recipe: Recipe) -> bool:
    """Whether the backbone takes images of `larger_image_size`; some take those of one size or of some sizes only."""
    try:
        resolve_recipe(recipe.override(image_size=larger_image_size(recipe)))
    except HeadstartError:
        return False
    return True
