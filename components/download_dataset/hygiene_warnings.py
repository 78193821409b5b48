"""Warnings of the hygiene page: problems in the data that a person should look at before training."""

import dataclasses
import shlex

from headstart.components.core.sources.quarantine import CORRECTED
from headstart.components.core.util.printable import list_first, pluralize, quote_name
from headstart.components.download_dataset.class_names import describe_similar_names, find_similar_names
from headstart.components.download_dataset.hygiene_data import HygieneStatistics
from headstart.components.download_dataset.identity_columns import IdentityColumn
from headstart.components.download_dataset.labels import LEFT_OUT

FEW_IMAGES = 50
"""Number of images below which a class is small: with 15 % of them for the test, 50 leave 7 or 8."""

IMBALANCE = 3.0
"""Largest ratio between the sizes of classes without a warning."""

BAD_SHARE = 0.02
"""Largest share of unusable files without a warning."""

_USUAL_ODD_SHARE = 0.1
_NAMES_SHOWN = 6
_NOT_BAD = (CORRECTED, LEFT_OUT, "duplicate", "leak", "conflict")


@dataclasses.dataclass(frozen=True)
class HygieneWarning:
    """A problem in the data.

    Attributes:
        title: Short name of the problem.
        text: Sentences on what was found and what to do.
        anchor: Id of the section of the page that shows it.
    """

    title: str
    text: str
    anchor: str


def find_warnings(statistics: HygieneStatistics) -> list[HygieneWarning]:
    """All warnings about the data, the most important first.

    Args:
        statistics: Statistics of the data.
    """
    checks = (
        _similar_names,
        _label_source,
        _conflicts,
        _suspicious_labels,
        _leakage,
        _identities,
        _predicting_groups,
        _shortcuts,
        _small_classes,
        _imbalance,
        _unusable_files,
        _odd_images,
        _low_contrast,
    )
    return [warning for check in checks if (warning := check(statistics))]


def low_contrast_warnings(statistics: HygieneStatistics) -> list[str]:
    """A sentence for each form of images of more than 8 bits some of which have low contrast after scaling.

    Args:
        statistics: Statistics of the data.
    """
    return [
        f"{each.low_contrast:,} of {each.number:,} images of the form {each.name} have low contrast with "
        f"{each.ranges[0]} as black to white: check that this is the meaning of their samples."
        for each in statistics.deep_forms
        if each.low_contrast
    ]


def list_names(names: list[str]) -> str:
    """Names the first few of a list, and counts the others."""
    return list_first(names, _NAMES_SHOWN)


def times(ratio: float) -> str:
    """A ratio in words, such as ``3.5 times``."""
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _similar_names(statistics: HygieneStatistics) -> HygieneWarning | None:
    similar = find_similar_names(statistics.data.classes)
    return _warning(
        bool(similar),
        "Similar class names",
        f"{'; '.join(map(describe_similar_names, similar))}. If they are one class, give them one name.",
        "classes",
    )


def _label_source(statistics: HygieneStatistics) -> HygieneWarning | None:
    notes = statistics.data.notes
    return _warning(bool(notes), "How classes were found", f"{'; '.join(notes)}.", "classes")


def _conflicts(statistics: HygieneStatistics) -> HygieneWarning | None:
    number = statistics.reasons["conflict"]
    return _warning(
        number > 0,
        "Conflicting labels",
        f"{_files_have(number)} the same pixels as a file of another class. All of them are left out: decide "
        "which class is right, and delete the others.",
        "left-out",
    )


def _suspicious_labels(statistics: HygieneStatistics) -> HygieneWarning | None:
    number = sum(len(statistics.labels_in(rows)) > 1 for rows in statistics.groups)
    return _warning(
        number > 0,
        "Suspicious labels",
        f"{_groups_have(number)} near-duplicates in more than one class. Hardly both labels are right: "
        "look at each, and correct or delete the wrong one.",
        "near-duplicates",
    )


def _leakage(statistics: HygieneStatistics) -> HygieneWarning | None:
    groups = sum(len(statistics.splits_in(rows)) > 1 for rows in statistics.groups)
    copies = statistics.reasons["leak"]
    found = [
        *([f"{_groups_have(groups)} near-duplicates in more than one split"] if groups else []),
        *([f"{_files_have(copies)} the same pixels as a file of another split"] if copies else []),
    ]
    return _warning(
        bool(found),
        "Leakage between ready-made splits",
        f"{', and '.join(found)}: a model would be tested on images that it has seen. Delete one of each, or let the "
        "data be split anew.",
        "near-duplicates" if groups else "left-out",
    )


def _identities(statistics: HygieneStatistics) -> HygieneWarning | None:
    sentences = [describe_identity(each) for each in statistics.data.identities]
    return _warning(bool(sentences), "Columns that may name groups", " ".join(sentences), "shortcuts")


def describe_identity(column: IdentityColumn) -> str:
    """What a column that looks like an identity may mean, and the way out, in sentences.

    Args:
        column: The column.
    """
    name = quote_name(column.name)
    predicts = f", and alone predicts the class of {100 * column.predicted:.0f} %" if column.predicted else ""
    return (
        f"Column {name} has {column.values:,} values for {column.images:,} images{predicts}. If images of one value "
        f"are alike, as those of one patient are, a model is tested on what it has seen: keep them together with "
        f"--group-column {shlex.quote(column.name)}."
    )


def _predicting_groups(statistics: HygieneStatistics) -> HygieneWarning | None:
    unit, predicted = statistics.data.unit, statistics.data.predicted
    units = pluralize(unit, 2)
    return _warning(
        predicted is not None,
        "Groups that predict the class",
        f"The {unit} alone predicts the class of {100 * (predicted or 0):.0f} % of the images: most {units} have "
        f"images of one class. None of them is divided, so the test is fair; but a class is known from as many "
        f"{units} only as it has. Add images of each class from the same {units}, or of more {units}.",
        "shortcuts",
    )


def _shortcuts(statistics: HygieneStatistics) -> HygieneWarning | None:
    found = [shortcut.family for shortcut in statistics.shortcuts if shortcut.warning]
    return _warning(
        bool(found),
        "Shortcut features",
        f"The class can be predicted without looking at the image, by {list_names(found)}. A network may learn that "
        "instead of the subject.",
        "shortcuts",
    )


def _small_classes(statistics: HygieneStatistics) -> HygieneWarning | None:
    sizes = zip(statistics.counts, statistics.classes, strict=True)
    small = sorted((count, name) for count, name in sizes if count < FEW_IMAGES)
    return _warning(
        bool(small),
        "Few images",
        f"Fewer than {FEW_IMAGES}: {list_names([f'{name} ({count})' for count, name in small])}. An accuracy "
        "measured on so few images says little; add more of them.",
        "classes",
    )


def _imbalance(statistics: HygieneStatistics) -> HygieneWarning | None:
    counts, classes = statistics.counts, statistics.classes
    most, least = max(counts), min(counts)
    largest, smallest = (classes[counts.index(count)] for count in (most, least))
    return _warning(
        most > IMBALANCE * least,
        "Class imbalance",
        f"There are {times(most / max(1, least))} as many images of {largest} as of {smallest}. Add images to the "
        "small classes, and rely on balanced accuracy rather than accuracy.",
        "classes",
    )


def _unusable_files(statistics: HygieneStatistics) -> HygieneWarning | None:
    bad = sum(number for reason, number in statistics.reasons.items() if reason not in _NOT_BAD)
    share = bad / statistics.files
    return _warning(
        share > BAD_SHARE,
        "Many unusable files",
        f"{100 * share:.1f} % of the files ({bad:,}) cannot be used. Look at the reasons before you go on: whole "
        "folders may be missing from the classes.",
        "left-out",
    )


def _odd_images(statistics: HygieneStatistics) -> HygieneWarning | None:
    number = statistics.odd_images
    kinds = list_names([f"{len(rows):,} {name}" for name, rows in statistics.odd.items() if rows])
    return _warning(
        number > 0,
        "Odd-looking images",
        f"{kinds}. "
        + (
            "So many of them may be normal for these images; check that the subject can be seen."
            if number > _USUAL_ODD_SHARE * statistics.used
            else "They are used; delete those whose class you would not recognise yourself."
        ),
        "looks",
    )


def _low_contrast(statistics: HygieneStatistics) -> HygieneWarning | None:
    sentences = low_contrast_warnings(statistics)
    return _warning(bool(sentences), "Low contrast", " ".join(sentences), "depth")


def _warning(found: bool, title: str, text: str, anchor: str) -> HygieneWarning | None:
    return HygieneWarning(title, text, anchor) if found else None


def _files_have(number: int) -> str:
    return "1 file has" if number == 1 else f"{number:,} files have"


def _groups_have(number: int) -> str:
    return "1 group has" if number == 1 else f"{number:,} groups have"
