"""Trials of a search for a recipe: files that are written once, so that a search can go on where it was stopped."""

import dataclasses
import json
from typing import Any, Literal

from headstart.components.core.storage.atomic import json_bytes
from headstart.components.core.storage.manifests import parse_manifest
from headstart.components.core.storage.stores import Conflict, Tree
from headstart.components.core.util.errors import HeadstartError

SEARCH, TRIALS = "search.json", "trials"
SEARCH_FORMAT, TRIAL_FORMAT = "headstart.search/1", "headstart.trial/1"


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
    return sorted((_read_trial(tree, name) for name in tree.names(TRIALS)), key=lambda each: each.number)


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
    try:
        theirs, _ = parse_manifest(tree.read(SEARCH)[0], Search, SEARCH_FORMAT)
    except ValueError as error:
        raise HeadstartError(f"{SEARCH} in {tree.address} {error}; name another folder") from None
    ours = json.loads(json.dumps(dataclasses.asdict(search)))
    names = {"data": "images or splits", "recipe": "values of the recipe", "space": "--vary", "seed": "--seed"}
    if different := [text for name, text in names.items() if getattr(theirs, name) != ours[name]]:
        raise HeadstartError(
            f"{tree.address} holds a search with other {', '.join(different)}; give the options that it began with, "
            "or name another folder"
        )


def _read_trial(tree: Tree, name: str) -> Trial:
    try:
        return parse_manifest(tree.read(name)[0], Trial, TRIAL_FORMAT)[0]
    except ValueError as error:
        raise HeadstartError(
            f"{name} in {tree.address} {error}; remove it, and the search makes its trial again"
        ) from None
