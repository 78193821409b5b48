"""Proposals of a search: new each time, the same again after a stop, and better than chance."""

import itertools

import pytest

from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.search_space import parse_dimension
from headstart.pipelines.local.recipe_search import choose_best, propose_settings
from headstart.pipelines.local.search_trials import Trial

pytest.importorskip("optuna", reason="a search needs optuna: pip install 'headstart[search]'")

SPACE = [
    parse_dimension(text)
    for text in (
        "fine_tuning.learning_rate=1e-5..1e-2",
        "fine_tuning.epochs=1..12",
        "fine_tuning.unfreeze_from=top,top_third,all",
    )
]
RECIPE = load_recipe().resolve()


def test_proposals_are_new_lie_in_the_space_and_depend_on_the_trials_alone() -> None:
    trials = [Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8)]
    for number in range(1, 12):
        settings = propose_settings(SPACE, trials, RECIPE, seed=3)
        assert settings == propose_settings(SPACE, trials, RECIPE, seed=3)
        assert settings is not None
        assert all(each.contains(settings[each.key]) for each in SPACE)
        assert settings not in [each.settings for each in trials]
        state = ("complete", "pruned", "failed")[number % 3]
        complete = state == "complete"
        trials.append(Trial(number, settings, state, 1.0, 0.5, 0.5 if complete else None, 0.8 if complete else None))
    assert propose_settings(SPACE, trials, RECIPE, seed=4) != propose_settings(SPACE, trials, RECIPE, seed=3)


def test_a_whole_number_stands_for_the_recipes_number_with_a_point() -> None:
    space = [parse_dimension("fine_tuning.label_smoothing=0,0.1")]
    assert RECIPE.fine_tuning.label_smoothing == 0
    proposed = propose_settings(space, [Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8)], RECIPE, seed=0)
    assert proposed == {"fine_tuning.label_smoothing": 0.1}


def test_a_space_that_is_used_up_ends_the_search() -> None:
    space = [parse_dimension(text) for text in ("image_size=224,256", "fine_tuning.epochs=3..4")]
    trials = [Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8)]
    while settings := propose_settings(space, trials, RECIPE, seed=0):
        trials.append(Trial(len(trials), settings, "complete", 1.0, 0.5, 0.5, 0.8))
    found = {(each.settings["image_size"], each.settings["fine_tuning.epochs"]) for each in trials[1:]}
    assert found == set(itertools.product((224, 256), (3, 4))) - {(224, 3)}, "that is the recipe as it is"


def test_proposals_learn_from_the_trials() -> None:
    """The last 20 of 60 proposals have lower losses than the first 20, some of which are drawn at random."""

    def loss(settings: dict[str, float]) -> float:
        return abs(settings["fine_tuning.epochs"] - 9) + (settings["fine_tuning.unfreeze_from"] != "top_third") * 5

    trials: list[Trial] = []
    for number in range(60):
        settings = propose_settings(SPACE, trials, RECIPE, seed=0)
        assert settings is not None
        trials.append(Trial(number, settings, "complete", 1.0, 1.0, loss(settings), 0.8))
    losses = [each.loss or 0.0 for each in trials]
    assert sum(losses[40:]) < 0.7 * sum(losses[:20]), losses


def test_the_best_is_the_first_with_the_lowest_loss() -> None:
    trials = [
        Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8),
        Trial(1, {"image_size": 96}, "pruned", 1.0, 0.1),
        Trial(2, {"image_size": 128}, "complete", 1.0, 0.5, 0.4, 0.7),
        Trial(3, {"image_size": 160}, "complete", 1.0, 0.5, 0.4, 0.9),
    ]
    assert choose_best(trials).number == 2
