"""Which class a file belongs to, told from its path."""

import re
from pathlib import PurePosixPath

from headstart.components.core.errors import HeadstartError

_KAGGLE_NAME = re.compile(r"(?P<label>[^\W\d][\w -]*)\.\d+\.\w+")
_SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def labels_of(paths: list[str], source: str) -> tuple[list[str], str]:
    """The class name of each file, by the first rule that finds at least two classes.

    1. ``folders``: the folder that a file lies in; `pets/cats/1.jpg` is of class `cats`. Folders named like a
       split (`train`, `validation`, `test`) are no classes.
    2. ``names``: Kaggle's file names; `train/cat.1.jpg` is of class `cat`.

    Args:
        paths: Paths relative to the source, at least one.
        source: The source's name, for errors.

    Returns:
        A class name for each path, empty where the rule finds none, and the rule's name.

    Raises:
        HeadstartError: Neither rule finds two classes.
    """
    rules = {
        "folders": [_folder_label(PurePosixPath(path)) for path in paths],
        "names": [_name_label(PurePosixPath(path)) for path in paths],
    }
    for rule, labels in rules.items():
        if len(set(labels) - {""}) > 1:
            return labels, rule
    only = next((label for labels in rules.values() for label in labels if label), "")
    found = f"only one class, {only!r}" if only else "no classes"
    raise HeadstartError(
        f"data {source!r} shows {found} in {len(paths)} files; a classifier needs two or more: put the pictures "
        "of each class into a folder of its own, or name them cat.1.jpg, dog.1.jpg"
    )


def _folder_label(path: PurePosixPath) -> str:
    name = path.parent.name
    return "" if name.lower() in _SPLIT_FOLDERS else name


def _name_label(path: PurePosixPath) -> str:
    match = _KAGGLE_NAME.fullmatch(path.name)
    return match["label"] if match else ""
