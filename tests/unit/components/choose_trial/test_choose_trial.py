"""The end of a search: its best recipe, complete, and what the figures are worth."""

import dataclasses
from pathlib import Path

import pytest

from headstart.components.choose_trial.step import choose_trial
from headstart.components.core.artifacts.search_trials import (
    EndedTrials,
    Search,
    Trial,
    open_search,
    read_search,
    record_trials,
)
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.progress.events import SearchEnded, parse

RECIPE = load_recipe(settings={"weights": "https://me:secret@host/own.weights.h5"})
SEARCH = Search(["aa", "bb"], RECIPE.resolve().redact(), ["image_size=128,160"], 0)
TRIALS = [
    Trial(0, {}, "complete", 12.5, 0.3, 0.25, 0.9),
    Trial(1, {"image_size": 128, "fine_tuning.epochs": 7}, "complete", 9.0, 0.3, 0.2, 0.95),
    Trial(2, {"image_size": 160}, "failed", 0.1, error="out of memory"),
    Trial(3, {"image_size": 192}, "pruned", 3.0, 0.9),
]


def test_recipe_report_trials_and_log_are_those_of_the_best(
    splits: dict[str, Path], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    record_trials(open_tree(str(tmp_path / "before")), SEARCH, TRIALS[:2])
    kept = open_tree(str(tmp_path / "kept"))
    ended = EndedTrials(tmp_path / "before", TRIALS[2:], kept.address)
    trials, found, report = (tmp_path / "made" / name for name in ("trials", "found", "report"))
    text = choose_trial(RECIPE, ended, splits["validation"], trials, found, report)
    assert load_recipe(text) == load_recipe(text).resolve()
    assert (load_recipe(text).image_size, load_recipe(text).fine_tuning.epochs) == (128, 7)
    # The task that trains downloads the weights; artifacts are for everybody.
    assert "secret" in text and "secret" not in found.read_text() + report.read_text()
    assert load_recipe(found.read_text()).override(weights=RECIPE.weights) == load_recipe(text)
    assert read_search(open_tree(str(trials))) == read_search(kept) == (SEARCH, TRIALS)
    page = report.read_text()
    assert page.startswith("# Trial 1\n") and found.read_text() in page
    assert "| 1 | 0.2000 | 0.9500 | 9 s | image_size 128, epochs 7 |\n| 0 | 0.2500 |" in page
    assert "- 4 trials, 1 pruned, 1 failed\n" in page
    assert "0.2000 on the 20 validation images, 0.2500 before; they chose it" in page
    (end,) = (event for event in map(parse, dict.fromkeys(logged.messages)) if isinstance(event, SearchEnded))
    assert end.best == 1 and end.conclusion.startswith("4 trials, 1 pruned, 1 failed; the best has a loss of 0.2000")


def test_a_search_of_one_round_in_which_the_recipe_failed_ends(splits: dict[str, Path], tmp_path: Path) -> None:
    open_search(open_tree(str(tmp_path / "before")), SEARCH)
    failed = dataclasses.replace(TRIALS[2], number=0, settings={})
    files = (tmp_path / name for name in ("trials", "found", "report"))
    with pytest.raises(HeadstartError, match="cannot be trained with as it is: out of memory"):
        choose_trial(RECIPE, EndedTrials(tmp_path / "before", [failed]), splits["validation"], *files)
