"""Which class a file belongs to, and which ready-made split, told from its path or by its source."""

import dataclasses
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath

from headstart.components.core.errors import HeadstartError, unknown_name
from headstart.components.download_dataset.sources.source import Entry

RULES = ("given", "folders", "names")
AUTO = "auto"

_KAGGLE_NAME = re.compile(r"(?P<label>[^\W\d][\w -]*)\.\d+\.\w+")
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclasses.dataclass(frozen=True)
class Labelling:
    """The classes of all files.

    Attributes:
        labels: A class name for each file; empty where the rule finds none.
        splits: The ready-made split of each file; all empty unless there are at least two.
        rule: One of `RULES`.
        why: A sentence on how classes were told, for the log and the report.
    """

    labels: list[str]
    splits: list[str]
    rule: str
    why: str


def check_rule(rule: str) -> None:
    """Refuses a rule that is neither `AUTO` nor one of `RULES`.

    Raises:
        HeadstartError: The rule is unknown.
    """
    if rule not in (AUTO, *RULES):
        unknown_name("way to tell labels", rule, [AUTO, *RULES])


def labels_of(entries: Iterable[Entry], source: str, rule: str = AUTO, least: int = 2) -> Labelling:
    """The class name of each file, by the rule that is asked for, or by the first that finds enough classes.

    1. ``given``: by the source itself, a manifest or Parquet.
    2. ``folders``: the folder that a file lies in; `pets/cats/1.jpg` is of class `cats`. Folders named like a
       split (`train`, `validation`, `test`) are no classes, but for a `train` that no other of them lies beside,
       and two classes do: trains, as in VOC and COCO.
    3. ``names``: Kaggle's file names; `train/cat.1.jpg` is of class `cat`.

    Args:
        entries: The files, at least one.
        source: The source's name, for errors.
        rule: ``auto`` or one of `RULES`.
        least: Classes that have to be found.

    Raises:
        HeadstartError: The rule is unknown, no rule finds enough classes, or folders tell one and names several.
    """
    check_rule(rule)
    tried: dict[str, list[str]] = {}
    for name in RULES if rule == AUTO else (rule,):
        labels = tried[name] = _labels(entries, name)
        classes = sorted(set(labels) - {""})
        if len(classes) >= least:
            if rule == AUTO and name == "folders" and len(classes) == 1:
                _check_names_tell_no_more(entries, source, classes[0])
            return Labelling(labels, _splits(entries, labels), name, _why(name, classes, labels, tried, rule))
    only = next((label for labels in tried.values() for label in labels if label), "")
    found = f"only one class, {only!r}" if only else "no classes"
    files = len(next(iter(tried.values())))
    how = "" if rule == AUTO else f" by labels={rule}"
    raise HeadstartError(
        f"data {source!r} shows {found} in {files} files{how}; a classifier needs two or more: put the "
        "pictures of each class into a folder of its own, name them cat.1.jpg, dog.1.jpg, or pass a manifest"
    )


def _check_names_tell_no_more(entries: Iterable[Entry], source: str, folder: str) -> None:
    """Refuses to guess whether all files of one of several sources are of one class, or a part of every class."""
    names = sorted(set(_labels(entries, "names")) - {""})
    if len(names) > 1:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise HeadstartError(
            f"data {source!r}: by its folder every file is of class {folder!r}, by their names they are of {shown}; "
            "pass labels 'folders' or 'names'"
        )


def _labels(entries: Iterable[Entry], rule: str) -> list[str]:
    """The classes by a rule; one string for all files of a class, which a hundred thousand of them notice."""
    if rule == "given":
        return [sys.intern(entry.label) for entry in entries]
    if rule == "folders":
        folders = [sys.intern(entry.path.rpartition("/")[0]) for entry in entries]
        classes = _classes_of_folders(set(folders))
        return [classes[folder] for folder in folders]
    matches = (_KAGGLE_NAME.fullmatch(entry.path.rpartition("/")[2]) for entry in entries)
    return [sys.intern(match["label"]) if match else "" for match in matches]


def _classes_of_folders(folders: set[str]) -> dict[str, str]:
    """The class of each folder that files lie in; one named like a split has none, unless it shows trains."""
    names = {folder: sys.intern(PurePosixPath(folder).name) for folder in folders}
    families: dict[str, list[str]] = defaultdict(list)
    for folder in folders - {""}:
        families[folder.rpartition("/")[0]].append(folder)
    for family in families.values():
        like_splits = [folder for folder in family if names[folder].lower() in _SPLIT_NAMES]
        shows_trains = [names[folder].lower() for folder in like_splits] == ["train"] and len(family) >= 3
        if not shows_trains:
            names.update(dict.fromkeys(like_splits, ""))
    return names


def _splits(entries: Iterable[Entry], labels: list[str]) -> list[str]:
    """Ready-made splits, where there are at least two: a lone `train` folder, as Kaggle's, is none."""
    found = [_split(entry, label) for entry, label in zip(entries, labels, strict=True)]
    return found if len(set(found) - {""}) > 1 else [""] * len(found)


def _split(entry: Entry, label: str) -> str:
    if entry.split:
        return _SPLIT_NAMES.get(entry.split.lower(), "")
    folder = entry.path.rpartition("/")[0]
    above, _, name = folder.rpartition("/")
    return _split_of_folder(above if name == label else folder)


@lru_cache
def _split_of_folder(folder: str) -> str:
    parts = (part.lower() for part in PurePosixPath(folder).parts)
    return next((_SPLIT_NAMES[part] for part in parts if part in _SPLIT_NAMES), "")


def _why(rule: str, classes: list[str], labels: list[str], tried: dict[str, list[str]], asked: str) -> str:
    how = {
        "given": "the source says the class of each file",
        "folders": "the class is the folder that a file lies in",
        "names": "the class is the beginning of a file's name, as in cat.1.jpg",
    }[rule]
    words = [f"{how}: {len(classes)} classes in {sum(map(bool, labels))} files"]
    like_splits = [name for name in classes if name.lower() in _SPLIT_NAMES]
    if rule == "folders" and like_splits:
        words.append(f"taken for a class, not for a split, as it lies beside others: {', '.join(like_splits)}")
    without = Counter(map(bool, labels))[False]
    if without:
        words.append(f"files without one: {without}")
    if asked == AUTO:
        passed = [f"labels={name} finds {len(set(found) - {''})}" for name, found in tried.items() if name != rule]
        words.append(", ".join(["chosen as the first rule that finds enough", *passed]))
    return "; ".join(words)
