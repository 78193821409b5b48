"""Which class a file belongs to, and which ready-made split, told from its path or by its source."""

import dataclasses
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath

from headstart.components.core.sources.file_names import SPLIT_NAMES
from headstart.components.core.sources.source import Entry
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.printable import quote_name
from headstart.components.download_dataset.layouts import Ambiguous, Reading, is_beside, read_layout, split_of

RULES = ("given", "folders", "names")
AUTO = "auto"
LEFT_OUT = "left out"
"""The reason of a file that lies where no class is, and is none of the bad ones."""

RULES_IN_WORDS = {"given": "the labels", "folders": "the folders", "names": "the file names"}
_HOW = {
    "given": "the source says the class of each file",
    "folders": "the class is the folder that a file lies in",
    "names": "the class is the beginning of a file's name, as in cat.1.jpg",
}
_KAGGLE_NAME = re.compile(r"(?P<label>[^\W\d][\w -]*)\.\d+\.\w+")
_NUMBERED_NAME = re.compile(r"(?P<label>[^\W\d_].*?)(?:[_ .-]+\(?\d+\)?|\(?\d+\)?)\.\w+")
_MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson")
# What lies beside pictures; any other file may be one, whatever it is called.
_NO_PICTURES = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".md", ".rst", ".html", ".htm", ".pdf", ".rtf"),
    *(".mat", ".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".yaml", ".yml", ".toml", ".cfg", ".ini"),
    *(".py", ".ipynb", ".sh", ".m", ".log", ".doc", ".docx", ".xls", ".xlsx", ".names", ".lst", ".url", ".aae"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".db", ".mov", ".mp4", ".avi", ".parquet"),
}


@dataclasses.dataclass(frozen=True)
class Labelling:
    """The classes of all files.

    Attributes:
        labels: A class name for each file; empty where the rule finds none.
        splits: The ready-made split of each file; all empty unless there are at least two.
        rule: One of `RULES`.
        why: A sentence on how classes were told, for the log and the report.
        left_out: Why a file without a class is left out on purpose, for each file; empty for the others.
        notes: What a reader should know of how classes were told, a sentence each.
    """

    labels: list[str]
    splits: list[str]
    rule: str
    why: str
    left_out: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Told:
    """What one rule tells of each file."""

    labels: list[str]
    splits: list[str]
    left_out: list[str]
    notes: list[str]


def check_rule(rule: str) -> None:
    """Refuses a rule that is neither `AUTO` nor one of `RULES`.

    Raises:
        HeadstartError: The rule is unknown.
    """
    if rule not in (AUTO, *RULES):
        raise_unknown_name("way to tell labels", rule, [AUTO, *RULES])


def check_level(level: int, rule: str) -> None:
    """Refuses a class level that is none, or that the rule does not ask for.

    Raises:
        HeadstartError: If the level is negative, or given with a rule other than folders.
    """
    if level < 0:
        raise HeadstartError(
            f"class_level {level}: give 1 for the topmost folder, 2 for the next, or 0 for automatic"
        )
    if level and rule not in (AUTO, "folders"):
        raise HeadstartError(f"class_level {level} is for classes told from folders; leave it out with labels={rule}")


def labels_of(entries: Iterable[Entry], source: str, rule: str = AUTO, least: int = 2, level: int = 0) -> Labelling:
    """The class name of each file, by the rule that is asked for, or by the first that finds enough classes.

    1. ``given``: by the source itself, a manifest or Parquet.
    2. ``folders``: the topmost folders that divide the pictures; `pets/cats/1.jpg` is of class `cats`. Folders named
       like splits (`train`, `validation`, `test`) are none where they hold class folders, or lie in them: see
       `read_layout`.
    3. ``names``: Kaggle's file names; `train/cat.1.jpg` is of class `cat`. Where this rule is asked for, `cat_1.jpg`
       and `cat1.jpg` are, too.

    Args:
        entries: The files, at least one.
        source: The source's name, for errors.
        rule: ``auto`` or one of `RULES`.
        least: Classes that have to be found.
        level: Which folder of a file's path is its class, from 1, the topmost folder in the source; 0: automatic.

    Raises:
        HeadstartError: If the rule is unknown, no rule finds enough classes, or files and folders can be understood
            in more than one way.
    """
    check_rule(rule)
    check_level(level, rule)
    asked = "folders" if level else rule
    tried: dict[str, list[str]] = {}
    for name in RULES if asked == AUTO else (asked,):
        told = _tell(entries, source, name, asked, level)
        tried[name] = told.labels
        classes = sorted(set(told.labels) - {""})
        if len(classes) >= least:
            if asked == AUTO and name == "folders":
                _check_names_tell_no_more(entries, source, classes)
            beside = _manifests(entries) if name != "given" else []
            notes = [
                *told.notes,
                *([f"not read: {', '.join(beside)}; pass it as data if it lists the classes"] if beside else []),
            ]
            why = _why(name, classes, told, tried, asked)
            return Labelling(told.labels, told.splits, name, why, told.left_out, notes)
    raise _too_few(entries, source, rule, level, tried)


def _too_few(
    entries: Iterable[Entry], source: str, rule: str, level: int, tried: dict[str, list[str]]
) -> HeadstartError:
    only = next((label for labels in tried.values() for label in labels if label), "")
    found = f"only one class, {quote_name(only)}" if only else "no classes"
    files = len(next(iter(tried.values())))
    how = f" by class_level={level}" if level else "" if rule == AUTO else f" by labels={rule}"
    start = f"data {source!r} shows {found} in {files} files{how}"
    beside = _manifests(entries)
    if beside:
        return HeadstartError(
            f"{start}; {', '.join(beside)} may list the classes: pass it as data, with the columns image and label"
        )
    readings = [Reading("--labels names", names)] if (names := _by_names(entries)) and rule != "names" else []
    folders = _counted(_folder_of(entry.path).split("/")[0] for entry in entries if _may_be_picture(entry.path))
    if not level and len(folders) > 1:
        readings.append(Reading("--class-level 1", folders))
    if readings:
        return HeadstartError(f"{start}; {'; '.join(map(str, readings))}")
    return HeadstartError(
        f"{start}; a classifier needs two or more: put the pictures of each class into a folder of its own, name "
        "them cat.1.jpg, dog.1.jpg, or pass a manifest"
    )


def _check_names_tell_no_more(entries: Iterable[Entry], source: str, classes: list[str]) -> None:
    """Refuses to guess whether a lone folder, or one named like a split, is a class, where names tell more."""
    if len(classes) > 1 and not any(map(split_of, classes)):
        return
    names = sorted(set(_kaggle_names(entry.path for entry in entries)) - {""})
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    if len(names) > 1 and len(classes) == 1:
        raise HeadstartError(
            f"data {source!r}: by its folder every file is of class {quote_name(classes[0])}, by their names "
            f"they are of {shown}; pass labels 'folders' or 'names'"
        )
    if 1 < len(names) < 100 and len(classes) > 1:
        raise HeadstartError(
            f"data {source!r}: by their folders files are of class {', '.join(classes[:3])}, by their names of "
            f"{shown}; pass labels 'folders' or 'names'"
        )


def _tell(entries: Iterable[Entry], source: str, rule: str, asked: str, level: int) -> _Told:
    """The classes by a rule; one string for all files of a class, which a hundred thousand of them notice."""
    if rule == "given":
        labels = [sys.intern(_composed(entry.label)) for entry in entries]
        splits = _splits(entries, labels, {}) if any(labels) else [""] * len(labels)
        return _Told(labels, splits, [], [])
    if rule == "folders":
        return _by_folders(entries, source, asked, level)
    labels = _kaggle_names(entry.path for entry in entries)
    if asked == "names":
        numbered = _numbered_names(entry.path for entry in entries)
        labels = [label or other for label, other in zip(labels, numbered, strict=True)]
    left_out = _without_name(entries, labels)
    return _Told(labels, _splits(entries, labels, {}), left_out, _left_out_in_words(left_out))


def _by_folders(entries: Iterable[Entry], source: str, asked: str, level: int) -> _Told:
    folders: list[str] = []
    pictures: dict[str, int] = {}
    for entry in entries:
        folder = sys.intern(_folder_of(entry.path))
        folders.append(folder)
        pictures[folder] = pictures.get(folder, 0) + _may_be_picture(entry.path)
    if not any(pictures.values()):
        pictures = dict(Counter(folders))
    try:
        layout = read_layout(pictures, level, decided=asked == "folders")
    except Ambiguous as question:
        names = _by_names(entries)
        more = f"; {Reading('--labels names', names)}" if names else ""
        beside = _manifests(entries)
        more += f"; {', '.join(beside)} may list the classes: pass it as data" if beside else ""
        raise HeadstartError(f"data {source!r}: {question}{more}; pass the one that is meant") from None
    labels = [sys.intern(layout.classes[folder]) for folder in folders]
    left_out = [sys.intern(layout.left_out.get(folder, "")) for folder in folders]
    return _Told(labels, _splits(entries, labels, layout.splits), left_out, layout.notes)


def _folder_of(path: str) -> str:
    return _composed(path.rpartition("/")[0])


def _composed(name: str) -> str:
    """A class name in composed Unicode, so that two spellings of the same letters are one class."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _may_be_picture(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :].lower() not in _NO_PICTURES


def _manifests(entries: Iterable[Entry]) -> list[str]:
    """The first few lists that lie among pictures: `train.csv`."""
    found = [entry.path for entry in entries if entry.path.lower().endswith(_MANIFESTS)]
    if len(found) > 20:
        return []
    return sorted(found, key=lambda path: (path.count("/"), path))[:3]


def _kaggle_names(paths: Iterable[str]) -> list[str]:
    return [_label_by(_KAGGLE_NAME, path) for path in paths]


def _numbered_names(paths: Iterable[str]) -> list[str]:
    return [_label_by(_NUMBERED_NAME, path) for path in paths]


def _label_by(pattern: re.Pattern[str], path: str) -> str:
    match = pattern.fullmatch(path.rpartition("/")[2])
    return sys.intern(_composed(match["label"].strip())) if match else ""


def _by_names(entries: Iterable[Entry]) -> dict[str, int]:
    """Pictures of each class by numbered file names; empty where they do not look like classes."""
    paths = [entry.path for entry in entries if _may_be_picture(entry.path) and not is_beside(_folder_of(entry.path))]
    counts = _counted(_numbered_names(paths))
    return counts if 1 < len(counts) <= max(20, len(paths) // 5) else {}


def _counted(labels: Iterable[str]) -> dict[str, int]:
    return dict(Counter(filter(None, labels)))


def _without_name(entries: Iterable[Entry], labels: list[str]) -> list[str]:
    """Why files are left out that lie beside those of which the names tell the class."""
    folders = [_folder_of(entry.path) for entry in entries]
    named = {folder for folder, label in zip(folders, labels, strict=True) if label and not is_beside(folder)}
    why = []
    for number, folder in enumerate(folders):
        if is_beside(folder) and named:
            labels[number] = ""
            why.append("it lies beside the pictures")
        elif not labels[number] and folder not in named and named and any(map(split_of, folder.split("/"))):
            why.append("no file beside it has a name that tells a class")
        else:
            why.append("")
    return why


def _left_out_in_words(left_out: list[str]) -> list[str]:
    return [f"left out: {number:,} files, {why}" for why, number in Counter(filter(None, left_out)).items()]


def _splits(entries: Iterable[Entry], labels: list[str], of_folders: dict[str, str]) -> list[str]:
    """Ready-made splits, where there are at least two: a lone `train` folder, as Kaggle's, is none."""
    found = [_split(entry, of_folders) if label else "" for entry, label in zip(entries, labels, strict=True)]
    return found if len(set(found) - {""}) > 1 else [""] * len(found)


def _split(entry: Entry, of_folders: dict[str, str]) -> str:
    if entry.split:
        return SPLIT_NAMES.get(entry.split.lower(), "")
    folder = _folder_of(entry.path)
    return of_folders[folder] if folder in of_folders else _split_of_folder(folder)


@lru_cache
def _split_of_folder(folder: str) -> str:
    return next(filter(None, map(split_of, PurePosixPath(folder).parts)), "")


def _why(rule: str, classes: list[str], told: _Told, tried: dict[str, list[str]], asked: str) -> str:
    words = [f"{_HOW[rule]}: {len(classes)} classes in {sum(map(bool, told.labels))} files", *told.notes]
    without = sum(not label for label in told.labels) - sum(map(bool, told.left_out))
    if without:
        words.append(f"files without one: {without}")
    if asked == AUTO:
        passed = [f"labels={name} finds {len(set(found) - {''})}" for name, found in tried.items() if name != rule]
        words.append(", ".join(["chosen as the first rule that finds enough", *passed]))
    return "; ".join(words)
