"""KFP interface of `propose_trials`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def propose_trials(
    train: Input[Dataset],
    validation: Input[Dataset],
    trials: Output[Artifact],
    before: Input[Artifact] = None,
    results: List[Dict[str, Any]] = [],  # noqa: B006 - KFP reads the default and never changes it
    vary: List[str] = [],  # noqa: B006
    trials_per_round: int = 4,
    trials_uri: str = "",
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006
    backbone: str = "",
    weights: str = "",
    image_size: int = 0,
    seed: int = 0,
) -> List[Dict[str, Any]]:
    """Records the trials of a round of a search for a recipe, and proposes those of the next one.

    KFP's cache must never answer for this component where trials_uri is given: the trials there are those of other
    runs, too.

    Args:
        train: Dataset artifact that the trials are trained on.
        validation: Dataset artifact whose loss the search lowers.
        trials: Folder of search.json and a JSON file for each trial that has ended.
        before: Folder `trials` of the round before; without it, this is the first round.
        results: Results of `run_trial` in the round before.
        vary: Keys of the recipe with their values, KEY=LOW..HIGH or KEY=VALUE,VALUE; empty: those that matter most in
            fine-tuning.
        trials_per_round: Number of trials to propose, 1 or more. They are proposed at once: none learns from another.
        trials_uri: Folder, or gs:// or s3:// address, that keeps the trials, from which a search with the same data,
            recipe, keys and seed goes on; empty: the trials are kept in the artifact alone.
        recipe: Name or YAML of the recipe that is varied, as `train_head` takes it, likewise the next four.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.
        seed: Random seed of the proposals.

    Returns:
        Trials to run, each with its number, its settings, and best_head_loss if any head was trained before. Where
        everything has been tried, one with the number -1, for which `run_trial` does nothing: KFP fails on an empty
        loop.
    """
    from pathlib import Path

    from headstart.components.core.artifacts.search_trials import NO_TRIAL, EndedTrials, Trial, from_fields, to_fields
    from headstart.components.core.recipes.recipe import load_recipe
    from headstart.components.core.recipes.search_space import parse_dimension
    from headstart.components.propose_trials import step

    varied = load_recipe(recipe, settings).override(backbone=backbone, weights=weights, image_size=int(image_size))
    plan = step.plan_search(varied, [parse_dimension(each) for each in vary], int(seed))
    made = [from_fields(Trial, each) for each in results if each]
    ended = EndedTrials(Path(before.path) if before else None, made, trials_uri)
    splits = (Path(train.path), Path(validation.path))
    proposed = step.propose_trials(plan, splits, ended, int(trials_per_round), Path(trials.path))
    return [to_fields(each) for each in proposed or [NO_TRIAL]]
