"""Proposals of a search: new each time, the same again after a stop, and better than chance."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from headstart.components.core.artifacts.search_trials import EndedTrials, ProposedTrial, Trial, read_search
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.search_space import parse_dimension
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.propose_trials.step import SearchPlan, propose_round, propose_settings, propose_trials

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
PLAN = SearchPlan(RECIPE, SPACE, seed=3)
DEFAULT = Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8)


def test_proposals_are_new_lie_in_the_space_and_depend_on_the_trials_alone() -> None:
    trials = [DEFAULT]
    for number in range(1, 12):
        settings = propose_settings(PLAN, trials)
        assert settings == propose_settings(PLAN, trials)
        assert settings is not None
        assert all(each.contains(settings[each.key]) for each in SPACE)
        assert settings not in [each.settings for each in trials]
        state = ("complete", "pruned", "failed")[number % 3]
        complete = state == "complete"
        trials.append(Trial(number, settings, state, 1.0, 0.5, 0.5 if complete else None, 0.8 if complete else None))
    assert propose_settings(dataclasses.replace(PLAN, seed=4), trials) != propose_settings(PLAN, trials)


def test_a_whole_number_stands_for_the_recipes_number_with_a_point() -> None:
    space = [parse_dimension("fine_tuning.label_smoothing=0,0.1")]
    assert RECIPE.fine_tuning.label_smoothing == 0
    proposed = propose_settings(SearchPlan(RECIPE, space, seed=0), [DEFAULT])
    assert proposed == {"fine_tuning.label_smoothing": 0.1}


def test_a_space_that_is_used_up_ends_the_search() -> None:
    space = [parse_dimension(text) for text in ("image_size=224,256", "fine_tuning.epochs=3..4")]
    trials = [DEFAULT]
    while settings := propose_settings(SearchPlan(RECIPE, space, seed=0), trials):
        trials.append(Trial(len(trials), settings, "complete", 1.0, 0.5, 0.5, 0.8))
    found = {(each.settings["image_size"], each.settings["fine_tuning.epochs"]) for each in trials[1:]}
    assert found == set(itertools.product((224, 256), (3, 4))) - {(224, 3)}, "that is the recipe as it is"


def test_proposals_learn_from_the_trials() -> None:
    """The last 20 of 60 proposals have lower losses than the first 20, some of which are drawn at random."""

    def loss(settings: dict[str, float]) -> float:
        return abs(settings["fine_tuning.epochs"] - 9) + (settings["fine_tuning.unfreeze_from"] != "top_third") * 5

    plan = dataclasses.replace(PLAN, seed=0)
    trials: list[Trial] = []
    for number in range(60):
        settings = propose_settings(plan, trials)
        assert settings is not None
        trials.append(Trial(number, settings, "complete", 1.0, 1.0, loss(settings), 0.8))
    losses = [each.loss or 0.0 for each in trials]
    assert sum(losses[40:]) < 0.7 * sum(losses[:20]), losses


def test_a_round_begins_with_the_recipe_as_it_is_and_its_trials_differ() -> None:
    proposed = propose_round(PLAN, [], 4)
    assert [each.number for each in proposed] == [0, 1, 2, 3]
    assert proposed[0] == ProposedTrial(0, {})
    assert len({json.dumps(each.settings) for each in proposed}) == 4
    assert propose_round(PLAN, [], 4) == proposed
    assert propose_round(PLAN, [], 1) == proposed[:1]


def test_a_round_knows_the_best_head_and_proposes_beside_what_is_pending() -> None:
    """Where the estimator is used, trials of a round count as bad ones until they have ended, and so keep apart."""
    trials = [DEFAULT]
    trials += [
        Trial(number, proposed.settings, "complete", 1.0, 0.4 + number / 100, number / 10, 0.8)
        for number, proposed in enumerate(propose_round(PLAN, trials, 12), start=1)
    ]
    trials[5] = Trial(5, trials[5].settings, "failed", 1.0, error="out of memory")
    proposed = propose_round(PLAN, trials, 6)
    assert [each.number for each in proposed] == list(range(13, 19))
    assert {each.best_head_loss for each in proposed} == {trials[1].head_loss}
    assert len({json.dumps(each.settings) for each in [*proposed, *trials]}) == 19
    assert proposed[0].settings == propose_settings(PLAN, trials)
    alone = propose_settings(PLAN, trials, [proposed[0].settings])
    assert alone == proposed[1].settings != proposed[0].settings


def test_a_round_has_fewer_trials_where_all_has_been_tried_and_none_in_the_end() -> None:
    plan = SearchPlan(RECIPE, [parse_dimension("fine_tuning.epochs=1..3")], seed=0)
    proposed = propose_round(plan, [], 10)
    kept = RECIPE.fine_tuning.epochs
    assert sorted(each.settings.get("fine_tuning.epochs", kept) for each in proposed) == sorted({1, 2, 3, kept})
    trials = [Trial(each.number, each.settings, "complete", 1.0, 0.5, 0.5, 0.8) for each in proposed]
    assert propose_round(plan, trials, 2) == []


def test_rounds_record_what_ended_and_another_run_goes_on_from_the_address(
    splits: dict[str, Path], tmp_path: Path
) -> None:
    both, uri = (splits["train"], splits["validation"]), str(tmp_path / "kept")

    def result(proposed: ProposedTrial) -> Trial:
        return Trial(proposed.number, proposed.settings, "complete", 2.0, 0.5, 0.4, 0.9)

    first = propose_trials(PLAN, both, EndedTrials(uri=uri), 2, tmp_path / "first")
    results = [result(each) for each in first]
    ended = EndedTrials(tmp_path / "first", results, uri)
    second = propose_trials(PLAN, both, ended, 2, tmp_path / "second")
    assert [each.number for each in second] == [2, 3]
    # As after a retry of its pod.
    assert propose_trials(PLAN, both, ended, 2, tmp_path / "second") == second
    for place in (uri, str(tmp_path / "second")):
        assert read_search(open_tree(place)) == (PLAN.identify(*both), results)
    # Without an address the round before is all there is, and it says the same.
    kept = propose_trials(PLAN, both, dataclasses.replace(ended, uri=""), 2, tmp_path / "alone")
    assert kept == second
    assert propose_trials(PLAN, both, EndedTrials(uri=uri), 2, tmp_path / "again") == second

    other = dataclasses.replace(results[1], loss=0.3)
    with pytest.raises(HeadstartError, match=r"trial 1 is in .*kept already: another search is running there"):
        propose_trials(PLAN, both, EndedTrials(tmp_path / "first", [other], uri), 2, tmp_path / "third")


def test_a_recipe_that_cannot_be_trained_with_ends_the_search(splits: dict[str, Path], tmp_path: Path) -> None:
    both = (splits["train"], splits["validation"])
    propose_trials(PLAN, both, EndedTrials(), 1, tmp_path / "first")
    ended = EndedTrials(tmp_path / "first", [Trial(0, {}, "failed", 1.0, error="too few images")])
    with pytest.raises(HeadstartError, match="the recipe cannot be trained with as it is: too few images"):
        propose_trials(PLAN, both, ended, 1, tmp_path / "second")
    with pytest.raises(HeadstartError, match="trials_per_round 0: give 1 or more"):
        propose_trials(PLAN, both, EndedTrials(), 0, tmp_path / "third")
