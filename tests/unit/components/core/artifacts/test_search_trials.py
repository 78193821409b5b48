"""Trials of a search: written once, read again, and never taken for those of another search."""

import dataclasses
import json
from pathlib import Path

import pytest

from headstart.components.core.artifacts.search_trials import (
    ProposedTrial,
    Search,
    Trial,
    choose_best,
    from_fields,
    open_search,
    to_fields,
    write_trial,
)
from headstart.components.core.storage.stores import open_tree
from headstart.components.core.util.errors import HeadstartError

SEARCH = Search(["aa", "bb"], {"image_size": 96, "augmentation": {"zoom": [-0.1, 0.1]}}, ["image_size=96,160"], 0)
TRIALS = [
    Trial(0, {}, "complete", 12.5, 0.3, 0.25, 0.9),
    Trial(1, {"image_size": 160}, "pruned", 3.0, 0.9),
    Trial(2, {"image_size": 96}, "failed", 0.1, error="out of memory"),
]


def test_trials_are_read_as_they_were_written(tmp_path: Path) -> None:
    tree = open_tree(str(tmp_path / "search"))
    assert open_search(tree, SEARCH) == []
    for trial in reversed(TRIALS):
        write_trial(tree, trial)
    assert open_search(tree, SEARCH) == TRIALS


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"data": ["aa", "cc"]}, "images or splits"),
        ({"seed": 1}, "--seed"),
        ({"space": ["image_size=96,192"], "recipe": {}}, "values of the recipe, --vary"),
    ],
)
def test_a_folder_of_another_search_is_refused(tmp_path: Path, changes: dict[str, object], different: str) -> None:
    tree = open_tree(str(tmp_path))
    open_search(tree, SEARCH)
    with pytest.raises(HeadstartError, match=f"holds a search with other {different}; give the options"):
        open_search(tree, dataclasses.replace(SEARCH, **changes))


def test_two_searches_in_one_folder_do_not_overwrite_each_other(tmp_path: Path) -> None:
    tree = open_tree(str(tmp_path))
    write_trial(tree, TRIALS[0])
    with pytest.raises(HeadstartError, match=r"trial 0 is in .* already: another search is running there"):
        write_trial(tree, TRIALS[0])


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": "headstart.trial/1", "number": "0"}'])
def test_a_damaged_trial_is_named(tmp_path: Path, content: bytes) -> None:
    tree = open_tree(str(tmp_path))
    open_search(tree, SEARCH)
    tree.write("trials/00000.json", content)
    with pytest.raises(HeadstartError, match=r"trials/00000\.json in .* is .*; remove it"):
        open_search(tree, SEARCH)


def test_a_damaged_search_is_named(tmp_path: Path) -> None:
    tree = open_tree(str(tmp_path))
    tree.write("search.json", b"{")
    with pytest.raises(HeadstartError, match=r"search\.json in .* is damaged .*; name another folder"):
        open_search(tree, SEARCH)


def test_the_best_is_the_first_with_the_lowest_loss() -> None:
    trials = [
        Trial(0, {}, "complete", 1.0, 0.5, 0.5, 0.8),
        Trial(1, {"image_size": 96}, "pruned", 1.0, 0.1),
        Trial(2, {"image_size": 128}, "complete", 1.0, 0.5, 0.4, 0.7),
        Trial(3, {"image_size": 160}, "complete", 1.0, 0.5, 0.4, 0.9),
    ]
    assert choose_best(trials).number == 2


def test_records_pass_through_kfp_which_knows_no_null_and_no_whole_numbers() -> None:
    for record in (*TRIALS, ProposedTrial(3, {"image_size": 160}), ProposedTrial(0, {}, 0.25)):
        fields = to_fields(record)
        assert None not in fields.values()
        passed = json.loads(json.dumps(fields), parse_int=float)
        again = from_fields(type(record), passed)
        assert again == record
        assert all(type(again.settings[key]) is int for key in record.settings)
