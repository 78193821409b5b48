"""Suggestions for an option that a command does not have: the option, or the key of the recipe, that is meant."""

import difflib
from collections.abc import Mapping, Sequence

from headstart.components.core.recipes.recipe import list_recipe_keys

_LEAST_LIKENESS = 0.6
_SHORTEST_BEGINNING = 3

# What other tools call our options and keys, besides names that are spelt alike.
_SYNONYMS = {
    **dict.fromkeys(("arch", "architecture", "base-model", "model", "model-name", "net", "network"), "backbone"),
    **dict.fromkeys(("data-dir", "dataset", "dataset-dir", "images", "input", "inputs", "train-dir"), "data"),
    **dict.fromkeys(("o", "out", "out-dir", "outdir", "output-dir", "output-folder", "save-dir"), "output"),
    **dict.fromkeys(("input-size", "resolution", "size"), "image-size"),
    **dict.fromkeys(("pretrained", "pretrained-weights"), "weights"),
    **dict.fromkeys(("random-seed", "random-state"), "seed"),
    **dict.fromkeys(("split", "splits", "test-size", "test-split", "val-split", "validation-split"), "fractions"),
    **dict.fromkeys(("cache", "cache-dir"), "record-uri"),
    **dict.fromkeys(("checkpoint", "checkpoint-dir", "checkpoints"), "checkpoint-uri"),
    **dict.fromkeys(("config", "hyperparameters", "params"), "recipe"),
    **dict.fromkeys(("push", "publish-uri", "registry-uri"), "publish"),
    **dict.fromkeys(("formats", "export-format"), "export"),
    **dict.fromkeys(("lr", "rate"), "learning-rate"),
    **dict.fromkeys(("batch", "bs"), "batch-size"),
    **dict.fromkeys(("max-epochs", "n-epochs", "num-epochs"), "epochs"),
    **dict.fromkeys(("aug", "augment", "augmentations"), "augmentation"),
    **dict.fromkeys(("decay", "wd"), "weight-decay"),
    **dict.fromkeys(("early-stopping",), "patience"),
    **dict.fromkeys(("freeze", "freeze-until", "unfreeze"), "unfreeze-from"),
    **dict.fromkeys(("confidence", "threshold"), "precision"),
}


def suggest_option(wrong: str, options: Sequence[str], others: Mapping[str, Sequence[str]]) -> str:
    """Suggests what may be meant by an option that does not exist.

    Args:
        wrong: Option as given, with its dashes.
        options: Options of the command, with their dashes.
        others: Commands that have an option, by option.

    Returns:
        A sentence; empty if nothing is similar.
    """
    if not wrong.startswith("--"):
        return ""
    name = wrong.lstrip("-").lower().replace("_", "-")
    keys = _recipe_keys() if "--set" in options else {}
    known = {option.removeprefix("--"): f"Did you mean {option}?" for option in options if option.startswith("--")}
    known = {each: _name_keys(found) for each, found in keys.items()} | known
    for candidate in (name, _SYNONYMS.get(name, "")):
        if candidate in known:
            return known[candidate]
    if wrong in others:
        return f"It is an option of {' and of '.join(others[wrong])}."
    if close := _closest(name, list(known)):
        return known[close]
    return ""


def _recipe_keys() -> dict[str, list[str]]:
    """Dotted keys of the recipe by their last word, and by the whole key; a section stands for all of its keys."""
    dotted = [key for key in list_recipe_keys() if key != "description"]
    found: dict[str, list[str]] = {}
    for key in dotted:
        inner = [other for other in dotted if other.startswith(f"{key}.")]
        for name in {key, key.rpartition(".")[2]}:
            found.setdefault(name.replace("_", "-"), []).extend(inner or [key])
    return found


def _name_keys(keys: Sequence[str]) -> str:
    first, *others = keys
    if len(others) > len(("head", "fine_tuning", "from_scratch")):
        others = [others[0], others[1], "…"]
    also = f" Or {', '.join(f'{key}=' for key in others).replace('…=', '…')}." if others else ""
    return f"Did you mean --set {first}=?{also}"


def _closest(name: str, known: Sequence[str]) -> str:
    """The known name that begins alike, or else is spelt alike; empty if there is none."""
    alike = [
        each
        for each in known
        if min(len(each), len(name)) >= _SHORTEST_BEGINNING and (each.startswith(name) or name.startswith(each))
    ]
    alike = alike or difflib.get_close_matches(name, known, n=1, cutoff=_LEAST_LIKENESS)
    return max(alike, key=lambda each: difflib.SequenceMatcher(None, name, each).ratio(), default="")
