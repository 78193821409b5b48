"""Class and ready-made split of each file, inferred from its path or given by its source."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath

from headstart.components.core.sources.file_names import SPLIT_NAMES
from headstart.components.core.sources.source import Entry
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.printable import quote_name
from headstart.components.download_dataset.file_name_labels import (
    composed,
    count_labels,
    count_numbered_labels,
    find_manifests,
    folder_of,
    kaggle_labels,
    may_be_image,
    numbered_labels,
)
from headstart.components.download_dataset.folder_names import lies_beside_images, split_of
from headstart.components.download_dataset.layouts import AmbiguousLayout, Interpretation, read_layout

RULES = ("given", "folders", "names")
AUTO = "auto"
LEFT_OUT = "left out"
"""Reason of a file that is left out on purpose: it lies in a folder that is no class. It does not count as bad."""

RULE_SOURCES = {"given": "the labels", "folders": "the folders", "names": "the file names"}
"""What each rule reads the classes from, in words."""

_RULE_SENTENCES = {
    "given": "the source gives the class of each file",
    "folders": "the class is the folder that a file lies in",
    "names": "the class is the beginning of a file's name, as in cat.1.jpg",
}


@dataclasses.dataclass(frozen=True)
class Labelling:
    """Classes of all files of a source.

    Attributes:
        labels: Class name of each file; empty where the rule finds none.
        splits: Ready-made split of each file; all empty unless there are at least two splits.
        rule: Rule that found the classes, one of `RULES`.
        why: Sentence on how classes were found, for the log and the report.
        left_out: Reason why a file without a class is left out on purpose, for each file; empty for the others.
        notes: Remarks on how classes were found, a sentence each.
    """

    labels: list[str]
    splits: list[str]
    rule: str
    why: str
    left_out: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _RuleResult:
    """Classes, splits and files to leave out by one rule, for each file, with remarks."""

    labels: list[str]
    splits: list[str]
    left_out: list[str]
    notes: list[str]


def check_rule(rule: str) -> None:
    """Refuses an unknown rule.

    Args:
        rule: `AUTO` or one of `RULES`.

    Raises:
        HeadstartError: If the rule is neither.
    """
    if rule not in (AUTO, *RULES):
        raise_unknown_name("rule for labels", rule, [AUTO, *RULES])


def check_level(level: int, rule: str) -> None:
    """Refuses a class level that is negative, or that the rule does not use.

    Args:
        level: Level of the class folder, from 1; 0: automatic.
        rule: `AUTO` or one of `RULES`.

    Raises:
        HeadstartError: If the level is negative, or given with a rule other than folders.
    """
    if level < 0:
        raise HeadstartError(
            f"class_level {level}: give 1 for the topmost folder, 2 for the next, or 0 for automatic"
        )
    if level and rule not in (AUTO, "folders"):
        raise HeadstartError(f"class_level {level} is for classes by folders; leave it out with labels={rule}")


def infer_labels(
    entries: Iterable[Entry], source: str, rule: str = AUTO, min_classes: int = 2, level: int = 0
) -> Labelling:
    """Infers the class of each file, by the given rule or by the first that finds enough classes.

    1. ``given``: by the source itself, a manifest or Parquet.
    2. ``folders``: the topmost folders that divide the images; `pets/cats/1.jpg` is of class `cats`. Folders named
       like splits (`train`, `validation`, `test`) are none where they hold class folders, or lie in them: see
       `read_layout`.
    3. ``names``: Kaggle's file names; `train/cat.1.jpg` is of class `cat`. Where this rule is given, `cat_1.jpg` and
       `cat1.jpg` are, too.

    Args:
        entries: Files, at least one.
        source: Name of the source, for errors.
        rule: ``auto`` or one of `RULES`.
        min_classes: Fewest classes that a rule must find.
        level: Position in a file's path of the folder that is its class, from 1, the topmost; 0: automatic.

    Raises:
        HeadstartError: If the rule is unknown, no rule finds enough classes, or files and folders can be understood
            in more than one way.
    """
    check_rule(rule)
    check_level(level, rule)
    wanted = "folders" if level else rule
    tried: dict[str, list[str]] = {}
    for name in RULES if wanted == AUTO else (wanted,):
        result = _apply_rule(entries, source, name, wanted, level)
        tried[name] = result.labels
        classes = sorted(set(result.labels) - {""})
        if len(classes) >= min_classes:
            if wanted == AUTO and name == "folders":
                _check_names_give_no_more(entries, source, classes)
            manifests = find_manifests(entries) if name != "given" else []
            notes = [
                *result.notes,
                *(
                    [f"not read: {', '.join(manifests)}; pass it as data if it lists the classes"]
                    if manifests
                    else []
                ),
            ]
            why = _describe_choice(name, classes, result, tried, wanted)
            return Labelling(result.labels, result.splits, name, why, result.left_out, notes)
    raise _too_few_error(entries, source, rule, level, tried)


def _too_few_error(
    entries: Iterable[Entry], source: str, rule: str, level: int, tried: dict[str, list[str]]
) -> HeadstartError:
    only = next((label for labels in tried.values() for label in labels if label), "")
    found = f"only one class, {quote_name(only)}" if only else "no classes"
    files = len(next(iter(tried.values())))
    how = f" by class_level={level}" if level else "" if rule == AUTO else f" by labels={rule}"
    start = f"data {source!r} shows {found} in {files} files{how}"
    manifests = find_manifests(entries)
    if manifests:
        return HeadstartError(
            f"{start}; {', '.join(manifests)} may list the classes: pass it as data, with the columns image and label"
        )
    ways = []
    if rule != "names" and (names := count_numbered_labels(entries)):
        ways.append(Interpretation("--labels names", names))
    folders = count_labels(folder_of(entry.path).split("/")[0] for entry in entries if may_be_image(entry.path))
    if not level and len(folders) > 1:
        ways.append(Interpretation("--class-level 1", folders))
    if ways:
        return HeadstartError(f"{start}; {'; '.join(map(str, ways))}")
    return HeadstartError(
        f"{start}; a classifier needs two or more: put the images of each class into a folder of its own, name "
        "them cat.1.jpg, dog.1.jpg, or pass a manifest"
    )


def _check_names_give_no_more(entries: Iterable[Entry], source: str, classes: list[str]) -> None:
    """Refuses to guess whether a lone folder, or one named like a split, is a class, where names give more."""
    if len(classes) > 1 and not any(map(split_of, classes)):
        return
    names = sorted(set(kaggle_labels(entry.path for entry in entries)) - {""})
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    if len(names) > 1 and len(classes) == 1:
        raise HeadstartError(
            f"data {source!r}: by its folder every file is of class {quote_name(classes[0])}, by their names they "
            f"are of {shown}; pass labels 'folders' or 'names'"
        )
    if 1 < len(names) < 100 and len(classes) > 1:
        raise HeadstartError(
            f"data {source!r}: by their folders files are of class {', '.join(classes[:3])}, by their names of "
            f"{shown}; pass labels 'folders' or 'names'"
        )


def _apply_rule(entries: Iterable[Entry], source: str, rule: str, wanted: str, level: int) -> _RuleResult:
    """Classes by a rule; all files of a class share one string, which saves memory with a hundred thousand files."""
    if rule == "given":
        labels = [sys.intern(composed(entry.label)) for entry in entries]
        splits = _find_splits(entries, labels, {}) if any(labels) else [""] * len(labels)
        return _RuleResult(labels, splits, [], [])
    if rule == "folders":
        return _labels_by_folders(entries, source, wanted, level)
    labels = kaggle_labels(entry.path for entry in entries)
    if wanted == "names":
        numbered = numbered_labels(entry.path for entry in entries)
        labels = [label or other for label, other in zip(labels, numbered, strict=True)]
    left_out = _leave_out_without_name(entries, labels)
    notes = [f"left out: {number:,} files, {why}" for why, number in Counter(filter(None, left_out)).items()]
    return _RuleResult(labels, _find_splits(entries, labels, {}), left_out, notes)


def _labels_by_folders(entries: Iterable[Entry], source: str, wanted: str, level: int) -> _RuleResult:
    folders: list[str] = []
    images: dict[str, int] = {}
    for entry in entries:
        folder = sys.intern(folder_of(entry.path))
        folders.append(folder)
        images[folder] = images.get(folder, 0) + may_be_image(entry.path)
    if not any(images.values()):
        images = dict(Counter(folders))
    try:
        layout = read_layout(images, level, decided=wanted == "folders")
    except AmbiguousLayout as question:
        names = count_numbered_labels(entries)
        more = f"; {Interpretation('--labels names', names)}" if names else ""
        manifests = find_manifests(entries)
        more += f"; {', '.join(manifests)} may list the classes: pass it as data" if manifests else ""
        raise HeadstartError(f"data {source!r}: {question}{more}; pass the one that is meant") from None
    labels = [sys.intern(layout.classes[folder]) for folder in folders]
    left_out = [sys.intern(layout.left_out.get(folder, "")) for folder in folders]
    return _RuleResult(labels, _find_splits(entries, labels, layout.splits), left_out, layout.notes)


def _leave_out_without_name(entries: Iterable[Entry], labels: list[str]) -> list[str]:
    """Reason why each file is left out; empty for files whose names give a class, and where no names do.

    Args:
        entries: The files.
        labels: Class of each file; that of files beside the images is removed.
    """
    folders = [folder_of(entry.path) for entry in entries]
    with_names = {
        folder for folder, label in zip(folders, labels, strict=True) if label and not lies_beside_images(folder)
    }
    why = []
    for number, folder in enumerate(folders):
        if lies_beside_images(folder) and with_names:
            labels[number] = ""
            why.append("it lies beside the images")
        elif not labels[number] and folder not in with_names and with_names and any(map(split_of, folder.split("/"))):
            why.append("no file beside it has a name that gives a class")
        else:
            why.append("")
    return why


def _find_splits(entries: Iterable[Entry], labels: list[str], of_folders: dict[str, str]) -> list[str]:
    """Ready-made split of each file, where there are at least two: a lone `train` folder, as Kaggle's, is none."""
    splits = [
        _split_of_entry(entry, of_folders) if label else "" for entry, label in zip(entries, labels, strict=True)
    ]
    return splits if len(set(splits) - {""}) > 1 else [""] * len(splits)


def _split_of_entry(entry: Entry, of_folders: dict[str, str]) -> str:
    if entry.split:
        return SPLIT_NAMES.get(entry.split.lower(), "")
    folder = folder_of(entry.path)
    return of_folders[folder] if folder in of_folders else _split_of_path(folder)


@lru_cache
def _split_of_path(folder: str) -> str:
    return next(filter(None, map(split_of, PurePosixPath(folder).parts)), "")


def _describe_choice(
    rule: str, classes: list[str], result: _RuleResult, tried: dict[str, list[str]], wanted: str
) -> str:
    labelled = sum(map(bool, result.labels))
    sentences = [f"{_RULE_SENTENCES[rule]}: {len(classes)} classes in {labelled} files", *result.notes]
    without = sum(not label for label in result.labels) - sum(map(bool, result.left_out))
    if without:
        sentences.append(f"files without one: {without}")
    if wanted == AUTO:
        others = [f"labels={name} finds {len(set(found) - {''})}" for name, found in tried.items() if name != rule]
        sentences.append(", ".join(["chosen as the first rule that finds enough", *others]))
    return "; ".join(sentences)
