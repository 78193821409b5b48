"""Classes in file names, such as `cat.1.jpg` and `Abyssinian_12.jpg`, and files that are no images by their names."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable

from headstart.components.core.sources.source import Entry
from headstart.components.download_dataset.folder_names import lies_beside_images

_KAGGLE_NAME = re.compile(r"(?P<label>[^\W\d][\w -]*)\.\d+\.\w+")
_NUMBERED_NAME = re.compile(r"(?P<label>[^\W\d_].*?)(?:[_ .-]+\(?\d+\)?|\(?\d+\)?)\.\w+")
_MANIFEST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_MAX_MANIFESTS = 20
# Usual suffixes of files beside images; a file with any other may be an image.
_NO_IMAGE_SUFFIXES = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".md", ".rst", ".html", ".htm", ".pdf", ".rtf"),
    *(".mat", ".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".yaml", ".yml", ".toml", ".cfg", ".ini"),
    *(".py", ".ipynb", ".sh", ".m", ".log", ".doc", ".docx", ".xls", ".xlsx", ".names", ".lst", ".url", ".aae"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".db", ".mov", ".mp4", ".avi", ".parquet"),
}


def kaggle_labels(paths: Iterable[str]) -> list[str]:
    """Class of each file by a name of Kaggle's form, `cat.1.jpg`; empty: none."""
    return [_match_label(_KAGGLE_NAME, path) for path in paths]


def numbered_labels(paths: Iterable[str]) -> list[str]:
    """Class of each file by a name with a number at its end, `cat_1.jpg`; empty: none."""
    return [_match_label(_NUMBERED_NAME, path) for path in paths]


def count_numbered_labels(entries: Iterable[Entry]) -> dict[str, int]:
    """Number of images of each class by numbered file names; empty where the names do not look like classes."""
    paths = [
        entry.path for entry in entries if may_be_image(entry.path) and not lies_beside_images(folder_of(entry.path))
    ]
    counts = count_labels(numbered_labels(paths))
    return counts if 1 < len(counts) <= max(20, len(paths) // 5) else {}


def count_labels(labels: Iterable[str]) -> dict[str, int]:
    """Number of files of each class; files without one are not counted."""
    return dict(Counter(filter(None, labels)))


def find_manifests(entries: Iterable[Entry]) -> list[str]:
    """Paths of the first few lists among images, such as `train.csv`; empty where there are too many to be lists."""
    found = [entry.path for entry in entries if entry.path.lower().endswith(_MANIFEST_SUFFIXES)]
    if len(found) > _MAX_MANIFESTS:
        return []
    return sorted(found, key=lambda path: (path.count("/"), path))[:3]


def may_be_image(path: str) -> bool:
    """Whether a file may be an image by its name."""
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :].lower() not in _NO_IMAGE_SUFFIXES


def folder_of(path: str) -> str:
    """Path of a file's folder in composed Unicode."""
    return composed(path.rpartition("/")[0])


def composed(name: str) -> str:
    """A class name in composed Unicode, so that two spellings of the same letters are one class."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _match_label(pattern: re.Pattern[str], path: str) -> str:
    match = pattern.fullmatch(path.rpartition("/")[2])
    # Interned: a hundred thousand files of a class share one string.
    return sys.intern(composed(match["label"].strip())) if match else ""
