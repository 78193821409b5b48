"""KFP interface of `choose_trial`."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Output

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def choose_trial(
    validation: Input[Dataset],
    before: Input[Artifact],
    trials: Output[Artifact],
    found: Output[Artifact],
    report: Output[Markdown],
    results: List[Dict[str, Any]] = [],  # noqa: B006 - KFP reads the default and never changes it
    trials_uri: str = "",
    recipe: str = "fast",
    settings: Dict[str, Any] = {},  # noqa: B006
    backbone: str = "",
    weights: str = "",
    image_size: int = 0,
) -> str:
    """Records the last round of a search for a recipe, and chooses the trial with the lowest validation loss.

    Args:
        validation: Dataset artifact whose loss the search lowers.
        before: Folder `trials` of the last round of `propose_trials`.
        trials: Folder of search.json and a JSON file for each trial.
        found: The recipe with the settings of the best trial, as YAML, without secrets.
        report: The best trials and what the figures are worth, as Markdown.
        results: Results of `run_trial` in that round.
        trials_uri: As `propose_trials` takes it.
        recipe: As `propose_trials` takes it, likewise the next four.
        settings: See `recipe`.
        backbone: See `recipe`.
        weights: See `recipe`.
        image_size: See `recipe`.

    Returns:
        The recipe with the settings of the best trial, as YAML that `train_head` takes.
    """
    from pathlib import Path

    from headstart.components.choose_trial import step
    from headstart.components.core.artifacts.search_trials import EndedTrials, Trial, from_fields
    from headstart.components.core.recipes.recipe import load_recipe

    varied = load_recipe(recipe, settings).override(backbone=backbone, weights=weights, image_size=int(image_size))
    ended = EndedTrials(Path(before.path), [from_fields(Trial, each) for each in results if each], trials_uri)
    files = (Path(trials.path), Path(found.path), Path(report.path))
    return step.choose_trial(varied, ended, Path(validation.path), *files)
