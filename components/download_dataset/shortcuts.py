"""Shortcut features: properties of the files that predict the class, although they do not show the subject.

Where one class comes from another camera, website or converter than the rest, a network learns the camera, scores
well on its own test images, and fails on others. So a small decision tree predicts the class from size, file size,
format, camera or mean colour alone, on images that it was not trained on.
"""

import dataclasses
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.components.core.util.printable import list_first

MIN_IMAGES_PER_CLASS = 10
"""Fewest images of a class that is tested for shortcuts."""

MIN_SKILL = 0.2
"""Least mean skill over the classes that is a warning: a fifth of the way from chance to certainty. For format and
camera, which do not depend on the subject at all, half of it.

Images without shortcuts reach a little less: of 4,000 photographs of cats and dogs at one size, file size alone (how
much fur, how much lawn) predicts 60 %, a skill of 0.20 with an interval from 0.16 to 0.24.
"""

MIN_CLASS_SKILL = 0.5
"""Least skill for one class against the rest that is a warning. It is higher than `MIN_SKILL`, since one of many
classes often has a colour of its own: lemons, the sea."""

CONFIDENCE = 0.99
"""Confidence level of the intervals. A warning needs their lower end above the limit, so that small classes raise no
false alarms. In simulations with properties unrelated to the labels, 4 % of data sets of 2 x 10 images get a warning,
2 % of 2 x 20, and less than 1 % of larger ones and of more classes."""

_MAX_IMAGES = 20_000
_FOLDS = 5
_LEAVES_PER_CLASS = 4
_MIN_LEAVES = 16
_MIN_LEAF = 3
_CLASSES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class PropertyFamily:
    """Properties of images that could predict the class together.

    Attributes:
        name: Name in words, such as ``file size``.
        columns: Columns of the properties.
        advice: Sentence on the way out if they predict the class.
        min_skill: Least skill that is a warning.
    """

    name: str
    columns: tuple[str, ...]
    advice: str
    min_skill: float = MIN_SKILL


_SAME_TREATMENT = (
    "Classes that come from different sources are the usual reason: collect each class from every source, or treat "
    "all images alike ({how}), and test on images from elsewhere."
)

FAMILIES = (
    PropertyFamily(
        "width and height", ("width", "height"), _SAME_TREATMENT.format(how="crop to one shape, resize to one size")
    ),
    PropertyFamily("file size", ("file_bytes",), _SAME_TREATMENT.format(how="save at one size and quality")),
    PropertyFamily(
        "file format", ("format",), _SAME_TREATMENT.format(how="save in one format, from originals"), MIN_SKILL / 2
    ),
    PropertyFamily(
        "camera (EXIF)", ("exif",), _SAME_TREATMENT.format(how="one camera for every class"), MIN_SKILL / 2
    ),
    PropertyFamily(
        "mean colour",
        ("red", "green", "blue"),
        "Fine where the classes differ in colour by nature; if it comes from light or background, add images of each "
        "class in other surroundings.",
    ),
)
ALL_PROPERTIES = PropertyFamily(
    "all of these",
    tuple(column for family in FAMILIES for column in family.columns),
    "No single one of them predicts as much; together they do. Look for classes collected in different ways.",
)


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """Accuracy with which one family of properties predicts the class.

    Attributes:
        family: Name of the family.
        varies: True if the properties differ between images.
        balanced_accuracy: Mean recall over the classes, cross-validated, 0 to 1.
        interval: Confidence interval of `balanced_accuracy`, at `CONFIDENCE`.
        chance: Balanced accuracy of guessing.
        classes: Classes that are predicted almost for certain, surest first, if there are more than two classes.
        threshold: Balanced accuracy that the lower end of `interval` must exceed to be a shortcut, see `MIN_SKILL`.
        is_shortcut: True if it does, or if there are `classes`.
        warning: Sentences on the result and the way out; empty: no shortcut, or reported for a part of the family.
    """

    family: str
    varies: bool
    balanced_accuracy: float
    interval: tuple[float, float]
    chance: float
    classes: list[str]
    threshold: float
    is_shortcut: bool
    warning: str


def find_shortcuts(properties: pa.Table, classes: list[str]) -> list[Shortcut]:
    """Trains decision trees on each of `FAMILIES`, and on all of them together; takes about a second.

    Args:
        properties: One row per image: `label` (index into `classes`) and the columns of the families.
        classes: Class names.

    Returns:
        Results of the families, and of all together; empty if fewer than two classes have `MIN_IMAGES_PER_CLASS`.
    """
    all_labels = properties["label"].to_numpy()
    rows = _sample_rows(all_labels)
    tested = np.unique(all_labels[rows])
    if len(tested) < 2:
        return []
    properties, names = properties.take(rows), [classes[label] for label in tested]
    labels = np.searchsorted(tested, all_labels[rows])
    codes = {column: _encode_column(properties[column]) for column in ALL_PROPERTIES.columns}
    results = [_test_family(family, codes, labels, names) for family in FAMILIES]
    together = _test_family(ALL_PROPERTIES, codes, labels, names)
    if any(each.warning for each in results):
        together = dataclasses.replace(together, warning="")
    return [*results, together]


def _sample_rows(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Random rows of each class that has enough images, at most equally many of each."""
    counts = np.bincount(labels)
    tested = np.flatnonzero(counts >= MIN_IMAGES_PER_CLASS)
    share = _MAX_IMAGES // max(1, len(tested))
    random = np.random.default_rng(0)
    rows = [random.permutation(np.flatnonzero(labels == label))[:share] for label in tested]
    return np.sort(np.concatenate([np.empty(0, np.int64), *rows]))


def _encode_column(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Numbers unchanged; texts by their alphabetical rank, so that cameras of one maker are neighbours."""
    values = column.to_numpy()
    if pa.types.is_string(column.type):
        values = np.unique(values.astype(str), return_inverse=True)[1]
    numbers: NDArray[np.float32] = values.astype(np.float32)
    return numbers


def _test_family(
    family: PropertyFamily, codes: dict[str, NDArray[np.float32]], labels: NDArray[np.int64], names: list[str]
) -> Shortcut:
    features = np.stack([codes[column] for column in family.columns], axis=1)
    chance = 1 / len(names)
    threshold = chance + family.min_skill * (1 - chance)
    if (features == features[0]).all():
        return Shortcut(family.name, False, chance, (chance, chance), chance, [], threshold, False, "")
    predicted = _predict(features, labels, len(names))
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts, hits = confusion.sum(axis=1), confusion.diagonal()
    accuracy = float(np.mean(hits / counts))
    margin = _quantile(1) * math.sqrt(_variance(hits, counts).sum()) / len(names)
    interval = (max(0.0, accuracy - margin), min(1.0, accuracy + margin))
    surest = [names[index] for index in _find_surest_classes(confusion)] if len(names) > 2 else []
    if interval[0] > threshold:
        best = f", most surely that of {_listed(surest)}" if surest else ""
        result = (
            f"the class of {_percent(accuracy)} of the images can be predicted{best}; chance is {_percent(chance)}"
        )
    else:
        result = f"{_listed(surest)} can be told from the other classes" if surest else ""
    warning = f"By {family.name} alone, {result}. {family.advice}" if result else ""
    return Shortcut(family.name, True, accuracy, interval, chance, surest, threshold, bool(result), warning)


def _predict(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Class of each image, predicted by a tree that was trained on other images; all classes weigh the same."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.empty_like(labels)
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(features, labels):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=max(_MIN_LEAVES, _LEAVES_PER_CLASS * classes),
            min_samples_leaf=_MIN_LEAF,
            class_weight="balanced",
            random_state=0,
        )
        predicted[test] = tree.fit(features[train], labels[train]).predict(features[test])
    return predicted


def _find_surest_classes(confusion: NDArray[np.int64]) -> list[int]:
    """Classes whose skill is above `MIN_CLASS_SKILL` at the given confidence, surest first.

    The skill of a class is its recall less its false positive rate (Youden's J). For classes of one size, the mean
    over the classes is the skill of the whole.
    """
    counts, hits = confusion.sum(axis=1), confusion.diagonal()
    others, alarms = counts.sum() - counts, confusion.sum(axis=0) - hits
    spread = np.sqrt(_variance(hits, counts) + _variance(alarms, others))
    sure_skill = hits / counts - alarms / others - _quantile(len(counts)) * spread
    return [int(index) for index in np.argsort(-sure_skill, kind="stable") if sure_skill[index] > MIN_CLASS_SKILL]


def _variance(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """Variance of a share after adding two successes and two failures, so above 0 (Agresti and Coull, 1998)."""
    share = (successes + 2) / (trials + 4)
    variance: NDArray[np.float64] = share * (1 - share) / (trials + 4)
    return variance


def _quantile(intervals: int) -> float:
    """Half-width, in standard errors, of intervals that together hold at `CONFIDENCE` (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / intervals)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _listed(names: list[str]) -> str:
    return list_first(names, _CLASSES_SHOWN)
