"""Trials of a search for a recipe: files that are written once, so that a search can go on where it was stopped."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

from headstart.components.core.storage.atomic import json_bytes, make_empty_folder
from headstart.components.core.storage.manifests import parse_manifest
from headstart.components.core.storage.stores import Conflict, Tree, open_tree
from headstart.components.core.util.errors import HeadstartError

SEARCH, TRIALS = "search.json", "trials"
SEARCH_FORMAT, TRIAL_FORMAT = "headstart.search/1", "headstart.trial/1"


T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search is of; trials of another one do not count.

    Attributes:
        data: Digests of the training and of the validation set.
        recipe: The recipe that is varied, without secrets.
        space: Keys that vary, with their values, as `--vary` takes them.
        seed: Seed of training and of the search.
    """

    data: list[str]
    recipe: dict[str, Any]
    space: list[str]
    seed: int


@dataclasses.dataclass(frozen=True)
class ProposedTrial:
    """A recipe to try.

    Attributes:
        number: Number of the trial, from 0.
        settings: Values of the keys that vary, by their dotted names; empty: the recipe as it is.
        best_head_loss: Lowest validation loss of the head alone in the trials before, in nats; None: there is none.
    """

    number: int
    settings: dict[str, Any]
    best_head_loss: float | None = None


NO_TRIAL = ProposedTrial(-1, {})
"""What stands for a round of a search on a cluster in which there is nothing left to try."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """A recipe that was tried.

    Attributes:
        number: Number of the trial, from 0, the recipe as it is.
        settings: Values of the keys that vary, by their dotted names.
        state: ``complete``; ``pruned``: the head alone was too far behind to be fine-tuned; ``failed``.
        seconds: Duration in seconds.
        head_loss: Validation loss of the head alone, in nats; None: it was not trained.
        loss: Validation loss of the model, in nats; None unless complete.
        accuracy: Share of right validation images; None unless complete.
        error: Reason of a failure; empty: there is none.
    """

    number: int
    settings: dict[str, Any]
    state: Literal["complete", "pruned", "failed"]
    seconds: float
    head_loss: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    error: str = ""


@dataclasses.dataclass(frozen=True)
class EndedTrials:
    """Trials of a search on a cluster that have ended.

    Attributes:
        before: Folder of the trials that `propose_trials` knew when it proposed the round before; None: there was
            none.
        results: Results of that round, those that failed among them.
        uri: Folder, or gs:// or s3:// address, that keeps the trials of all runs; empty: none.
    """

    before: Path | None = None
    results: Sequence[Trial] = ()
    uri: str = ""

    def record(self, folder: Path, search: Search | None = None) -> list[Trial]:
        """Records the results at the address and in a folder, which is created anew; returns all trials.

        Args:
            folder: Folder that receives all trials.
            search: The search; None: that of the round before.

        Raises:
            HeadstartError: If the recipe as it is has failed, or the address holds another search, or trials of
                another run that is under way.
        """
        trials = list(self.results)
        if self.before:
            recorded, earlier = read_search(open_tree(str(self.before)))
            search, trials = search or recorded, [*earlier, *trials]
        if search is None:
            raise ValueError("neither a search nor the round before is given")
        raise_if_recipe_failed(trials)
        if self.uri:
            trials = record_trials(open_tree(self.uri), search, trials)
        make_empty_folder(folder)
        return record_trials(open_tree(str(folder)), search, trials)


def choose_best(trials: Sequence[Trial]) -> Trial:
    """Chooses the trial with the lowest validation loss; of equal ones the first."""
    return min((each for each in trials if each.loss is not None), key=lambda each: each.loss or 0.0)


def raise_if_recipe_failed(trials: Iterable[Trial]) -> None:
    """Refuses to go on where the recipe that is varied cannot be trained with.

    Raises:
        HeadstartError: If the trial of the recipe as it is has failed.
    """
    for trial in trials:
        if not trial.settings and trial.state == "failed":
            raise HeadstartError(f"the recipe cannot be trained with as it is: {trial.error}")


def open_search(tree: Tree, search: Search) -> list[Trial]:
    """Begins a search in a folder, or reads the trials of the same search that it holds.

    Args:
        tree: Folder, on disk or in a store.
        search: The search.

    Returns:
        Trials that have ended, by their numbers.

    Raises:
        HeadstartError: If the folder holds another search or a damaged file, or cannot be read or written.
    """
    try:
        tree.replace(SEARCH, _to_json(SEARCH_FORMAT, search), "")
    except Conflict:
        _check_same(tree, search)
    return _read_trials(tree)


def read_search(tree: Tree) -> tuple[Search, list[Trial]]:
    """Reads a search and its trials by their numbers.

    Raises:
        HeadstartError: If a file is missing or damaged, or cannot be read.
    """
    return _read_search_file(tree), _read_trials(tree)


def record_trials(tree: Tree, search: Search, trials: Iterable[Trial]) -> list[Trial]:
    """Adds trials to the folder of a search; those that are there already, from an earlier attempt, stay.

    Args:
        tree: Folder, on disk or in a store.
        search: The search.
        trials: Trials that have ended.

    Returns:
        All trials in the folder, by their numbers.

    Raises:
        HeadstartError: If the folder holds another search, another trial of the same number or a damaged file, or
            cannot be read or written.
    """
    recorded = {each.number: each for each in open_search(tree, search)}
    for trial in trials:
        if recorded.get(trial.number) != trial:
            write_trial(tree, trial)
            recorded[trial.number] = trial
    return [recorded[number] for number in sorted(recorded)]


def to_fields(record: ProposedTrial | Trial) -> dict[str, Any]:
    """A record as KFP passes it from task to task, which knows no null: values that are None are left out."""
    return {name: value for name, value in dataclasses.asdict(record).items() if value is not None}


def from_fields(kind: type[T], fields: Mapping[str, Any]) -> T:
    """Reads what `to_fields` made; KFP passes whole numbers as 2.0.

    Args:
        kind: `ProposedTrial` or `Trial`.
        fields: The fields.

    Raises:
        pydantic.ValidationError: If a field is missing or wrong.
    """
    settings = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in fields.get("settings", {}).items()
    }
    return TypeAdapter(kind).validate_python({**fields, "settings": settings})


def write_trial(tree: Tree, trial: Trial) -> None:
    """Writes a trial that has ended.

    Raises:
        HeadstartError: If it cannot be written, or another search has written one with its number.
    """
    try:
        tree.replace(f"{TRIALS}/{trial.number:05}.json", _to_json(TRIAL_FORMAT, trial), "")
    except Conflict:
        raise HeadstartError(
            f"trial {trial.number} is in {tree.address} already: another search is running there; name another folder"
        ) from None


def _to_json(format_name: str, record: Search | Trial) -> bytes:
    return json_bytes({"format": format_name, **dataclasses.asdict(record)})


def _check_same(tree: Tree, search: Search) -> None:
    theirs = _read_search_file(tree)
    ours = json.loads(json.dumps(dataclasses.asdict(search)))
    names = {"data": "images or splits", "recipe": "values of the recipe", "space": "--vary", "seed": "--seed"}
    if different := [text for name, text in names.items() if getattr(theirs, name) != ours[name]]:
        raise HeadstartError(
            f"{tree.address} holds a search with other {', '.join(different)}; give the options that it began with, "
            "or name another folder"
        )


def _read_search_file(tree: Tree) -> Search:
    try:
        return parse_manifest(tree.read(SEARCH)[0], Search, SEARCH_FORMAT)[0]
    except ValueError as error:
        raise HeadstartError(f"{SEARCH} in {tree.address} {error}; name another folder") from None


def _read_trials(tree: Tree) -> list[Trial]:
    return sorted((_read_trial(tree, name) for name in tree.names(TRIALS)), key=lambda each: each.number)


def _read_trial(tree: Tree, name: str) -> Trial:
    try:
        return parse_manifest(tree.read(name)[0], Trial, TRIAL_FORMAT)[0]
    except ValueError as error:
        raise HeadstartError(
            f"{name} in {tree.address} {error}; remove it, and the search makes its trial again"
        ) from None
