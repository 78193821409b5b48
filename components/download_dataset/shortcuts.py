"""Shortcuts: can the class be told from what has nothing to do with the subject?

Where one class comes from another camera, website or converter than the rest, a network learns the camera, scores
well on its own test images, and fails on others. So a small decision tree is asked to tell the class from size, file
size, format, camera or mean colour alone, on images that it was not grown on.
"""

import dataclasses
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MIN_IMAGES = 10
"""Images a class needs to be judged."""

MIN_SKILL = 0.2
"""Least skill, on average over the classes, that is a warning: a fifth of the way from guessing to certainty; half of
that for format and camera, with which what a picture shows has nothing to do.

Honest pictures reach a little below: of 4,000 photographs of cats and dogs at one size, file size alone (how much
fur, how much lawn) tells 60 %, a skill of 0.20 with an interval from 0.16 to 0.24.
"""

MIN_CLASS_SKILL = 0.5
"""Least skill in telling one class from the rest that is a warning; higher, since it is no rarity that one of many
classes has a colour of its own: lemons, the sea."""

LEVEL = 0.99
"""Of the intervals. A warning needs their lower end above the limit, so that small classes raise no false alarms:
in simulations, labels that have nothing to do with the facts get one in 4 % of data sets of 2 x 10 images, in 2 % of
2 x 20, and in less than 1 % of larger ones and of more classes."""

_MAX_IMAGES = 20_000
_FOLDS = 5
_LEAVES_PER_CLASS = 4
_MIN_LEAVES = 16
_MIN_LEAF = 3
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Family:
    """Facts that could give the class away.

    Attributes:
        name: In words.
        columns: Of the facts.
        advice: What a person should do if they give it away.
        min_skill: Least skill that is a warning.
    """

    name: str
    columns: tuple[str, ...]
    advice: str
    min_skill: float = MIN_SKILL


_SAME_TREATMENT = (
    "Classes that come from different sources are the usual reason: collect each class from every source, or treat "
    "all pictures alike ({how}), and test on pictures from elsewhere."
)

FAMILIES = (
    Family(
        "width and height", ("width", "height"), _SAME_TREATMENT.format(how="crop to one shape, resize to one size")
    ),
    Family("file size", ("file_bytes",), _SAME_TREATMENT.format(how="save at one size and quality")),
    Family(
        "file format", ("format",), _SAME_TREATMENT.format(how="save in one format, from originals"), MIN_SKILL / 2
    ),
    Family("camera (EXIF)", ("exif",), _SAME_TREATMENT.format(how="one camera for every class"), MIN_SKILL / 2),
    Family(
        "mean colour",
        ("red", "green", "blue"),
        "Fine where colour is what the classes are about; if it comes from light or background, add pictures of each "
        "class in other surroundings.",
    ),
)
EVERYTHING = Family(
    "all of these",
    tuple(column for family in FAMILIES for column in family.columns),
    "No single one of them tells as much; together they do. Look for classes that were collected in different ways.",
)


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """How far one family of facts tells the class.

    Attributes:
        family: Its name.
        varies: Whether the facts differ between images at all.
        balanced_accuracy: Mean over the classes of the share told right, cross-validated.
        interval: Of it, at `LEVEL`.
        chance: What guessing reaches.
        classes: Those that are told from the rest almost for certain, the surest first, if there are more than two.
        tells: Whether that is well above chance.
        warning: What was found and what to do, if so; empty for all of them together where single ones have one.
    """

    family: str
    varies: bool
    balanced_accuracy: float
    interval: tuple[float, float]
    chance: float
    classes: list[str]
    tells: bool
    warning: str


def find_shortcuts(facts: pa.Table, classes: list[str]) -> list[Shortcut]:
    """Judges each of `FAMILIES`, and all of them together.

    Args:
        facts: One row an image: `label` (index into `classes`) and the families' columns.
        classes: Class names.

    Returns:
        Nothing if fewer than two classes have `MIN_IMAGES` images: of so few nothing can be told.
    """
    labels = facts["label"].to_numpy()
    rows = _sample(labels)
    judged = np.unique(labels[rows])
    if len(judged) < 2:
        return []
    facts, names = facts.take(rows), [classes[label] for label in judged]
    told = np.searchsorted(judged, labels[rows])
    codes = {column: _codes(facts[column]) for column in EVERYTHING.columns}
    found = [_judge(family, codes, told, names) for family in FAMILIES]
    together = _judge(EVERYTHING, codes, told, names)
    if any(each.warning for each in found):
        together = dataclasses.replace(together, warning="")
    return [*found, together]


def _sample(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Rows to look at: of each class that has enough, an equal share of what is looked at in all."""
    counts = np.bincount(labels)
    judged = np.flatnonzero(counts >= MIN_IMAGES)
    share = _MAX_IMAGES // max(1, len(judged))
    random = np.random.default_rng(0)
    rows = [random.permutation(np.flatnonzero(labels == label))[:share] for label in judged]
    return np.sort(np.concatenate([np.empty(0, np.int64), *rows]))


def _codes(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Numbers as they are; words by their place in the alphabet, which puts one maker's cameras side by side."""
    values = column.to_numpy()
    if pa.types.is_string(column.type):
        values = np.unique(values.astype(str), return_inverse=True)[1]
    numbers: NDArray[np.float32] = values.astype(np.float32)
    return numbers


def _judge(
    family: Family, codes: dict[str, NDArray[np.float32]], labels: NDArray[np.int64], names: list[str]
) -> Shortcut:
    features = np.stack([codes[column] for column in family.columns], axis=1)
    chance = 1 / len(names)
    if (features == features[0]).all():
        return Shortcut(family.name, False, chance, (chance, chance), chance, [], False, "")
    predicted = _predict(features, labels, len(names))
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    counts, hits = confusion.sum(axis=1), confusion.diagonal()
    accuracy = float(np.mean(hits / counts))
    margin = _quantile(1) * math.sqrt(_variance(hits, counts).sum()) / len(names)
    interval = (max(0.0, accuracy - margin), min(1.0, accuracy + margin))
    surest = [names[index] for index in _given_away(confusion)] if len(names) > 2 else []
    if interval[0] > chance + family.min_skill * (1 - chance):
        best = f", most surely that of {_listed(surest)}" if surest else ""
        found = (
            f"the class of {_percent(accuracy)} of the pictures can be told{best}, where guessing gets "
            f"{_percent(chance)}"
        )
    else:
        found = f"{_listed(surest)} can be told from the other classes" if surest else ""
    warning = f"By {family.name} alone, {found}. {family.advice}" if found else ""
    return Shortcut(family.name, True, accuracy, interval, chance, surest, bool(found), warning)


def _predict(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The class of each image by a tree that was grown on other images, each class weighing the same."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.empty_like(labels)
    for seen, unseen in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(features, labels):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=max(_MIN_LEAVES, _LEAVES_PER_CLASS * classes),
            min_samples_leaf=_MIN_LEAF,
            class_weight="balanced",
            random_state=0,
        )
        predicted[unseen] = tree.fit(features[seen], labels[seen]).predict(features[unseen])
    return predicted


def _given_away(confusion: NDArray[np.int64]) -> list[int]:
    """Classes with a skill surely above `MIN_CLASS_SKILL`, the surest first.

    A class's skill is the share of its images that are taken for it, less the share of the others (Youden's J);
    the mean over the classes is the skill of the whole where they are of one size.
    """
    counts, hits = confusion.sum(axis=1), confusion.diagonal()
    others, alarms = counts.sum() - counts, confusion.sum(axis=0) - hits
    spread = np.sqrt(_variance(hits, counts) + _variance(alarms, others))
    surely = hits / counts - alarms / others - _quantile(len(counts)) * spread
    return [int(index) for index in np.argsort(-surely, kind="stable") if surely[index] > MIN_CLASS_SKILL]


def _variance(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of a share, after two successes and two failures more, which keeps it above 0 (Agresti and Coull, 1998)."""
    share = (successes + 2) / (trials + 4)
    variance: NDArray[np.float64] = share * (1 - share) / (trials + 4)
    return variance


def _quantile(questions: int) -> float:
    """Standard errors to either side, so that intervals for so many questions hold together at `LEVEL`."""
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / questions)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
