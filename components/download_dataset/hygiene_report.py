"""The hygiene report: what is to be known of the data before training on it, on one HTML page."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from platform import python_version

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.artifacts.hygiene import Finding, HygieneSummary
from headstart.components.core.images.decoding import FAINT
from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.reports import page
from headstart.components.core.reports.page import shown
from headstart.components.core.sources.quarantine import CORRECTED, QUARANTINE, QuarantinedFile
from headstart.components.download_dataset.class_counts import alike_in_words, classes_alike, classes_in_words
from headstart.components.download_dataset.image_measures import LOOKS, Look, Measures
from headstart.components.download_dataset.shortcuts import MIN_IMAGES, find_shortcuts

FACTS = (
    *("path", "label", "split", "format", "exif", "file_bytes", "width", "height", "stored_width", "stored_height"),
    *("form", "black", "white"),
    *(field.name for field in dataclasses.fields(Measures)),
)
"""Columns that the page is made from."""

FEW_IMAGES = 50
"""Pictures below which a class is small: with 15 % of them for the test, 50 leave 7 or 8."""

IMBALANCE = 3.0
"""How many times as large as the smallest class the largest may be without a warning."""

BAD_SHARE = 0.02
"""Share of files that may be of no use without a warning."""

_USUAL_SHARE = 0.1
_FILES, _GROUPS, _OF_A_GROUP, _OF_A_LOOK, _VALUES, _SIDE = 200, 24, 6, 12, 10, 112
_USABLE = (CORRECTED, "left out", "duplicate", "leak", "conflict")

_LOOKS = {
    "dark": "Nearly all of it is darker than a third of full light.",
    "bright": "Nearly all of it is lighter than two thirds of full light.",
    "blurry": "It has no fine detail, across or down.",
    "low information": "Nearly all of it is of one shade.",
}
_REASONS = {
    "conflict": "The same pixels in two classes: one of the labels is wrong. None of them is used.",
    CORRECTED: "The corrections leave it out.",
    "damaged": "The decoder gave up.",
    "duplicate": "The same pixels as another file of its class, which is used.",
    "empty": "No bytes.",
    "left out": "It lies in a folder that is no class, or has no class beside files that have one.",
    "leak": "The same pixels as a file of another ready-made split, which is used.",
    "missing": "Named, but not there.",
    "no class": "Neither its folder nor its name says which.",
    "not an image": "No picture by its content, whatever its name.",
    "strip": "Too narrow to be seen in a square.",
    "too large": "More than is read into memory.",
    "too small": "Nothing can be seen.",
    "truncated": "The file ends before the picture does.",
    "unsupported": "A format that is not read here.",
}


@dataclasses.dataclass(frozen=True)
class Hygiene:
    """What was found in the data.

    Attributes:
        sources: Where the pictures came from.
        classes: Class names.
        labels_from: A sentence on how classes were told, and why so.
        facts: One row a picture that is used: `path`, `label` (index into `classes`), `format`, `file_bytes`, `exif`
            (camera), `width` and `height` of the file, `stored_width` and `stored_height` of what is kept, `split`
            (empty if none was ready-made), `form`, `black` and `white` (of deep pictures, null for others), and the
            fields of `Measures`.
        quarantined: Files that are left out.
        ignored: Files passed over, such as `.DS_Store`.
        groups: Rows of near-duplicates, two or more each.
        digest: Of the dataset.
        thumbnail: Gives the picture of a row.
        told: Source of the classes, in words: ``the folders of pets``.
        notes: What is to be known of how classes were told, a sentence each.
        ranges: Black and white of each form of deep pictures, as the data set has decided.
    """

    sources: Sequence[str]
    classes: Sequence[str]
    labels_from: str
    facts: pa.Table
    quarantined: Sequence[QuarantinedFile]
    ignored: int
    groups: Sequence[Sequence[int]]
    digest: str
    thumbnail: Callable[[int], Image.Image]
    told: str = ""
    notes: Sequence[str] = ()
    ranges: Ranges = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Note:
    """Something to look at: a warning in words, and where on the page it comes from."""

    title: str
    text: str
    anchor: str


@dataclasses.dataclass(frozen=True)
class Bar:
    """A number among others: its share of all, and its length beside the largest."""

    name: str
    number: int
    share: float
    length: float
    by_split: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture, as a `data:` address, with what stands below it."""

    image: str
    label: str
    path: str


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Some pictures out of `total`, and what they have in common."""

    title: str
    text: str
    total: int
    figures: list[Figure]
    marks: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Widths and heights: in words, and as dots (x, y, radius) in a square of side 1 on logarithmic axes."""

    words: list[str]
    dots: list[tuple[float, float, float]]
    ticks: list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class DeepForm:
    """Deep pictures of one form: how many, their ranges and whose they are, and how many came out faint."""

    name: str
    number: int
    ranges: list[str]
    source: str
    faint: int


class HygienePage:
    """The page and its summary; what several sections speak of is worked out once."""

    def __init__(self, hygiene: Hygiene) -> None:
        self._hygiene = hygiene
        self._facts = hygiene.facts
        self._classes = [shown(name) for name in hygiene.classes]
        self._labels = self._facts["label"].to_numpy()
        self._splits = self._facts["split"]
        self._present = [split for split in SPLITS if split in pc.unique(self._splits).to_pylist()]
        self._counts: list[int] = np.bincount(self._labels, minlength=len(self._classes)).tolist()
        self._groups = sorted(
            hygiene.groups, key=lambda rows: (-len(self._labels_in(rows)), -len(self._splits_in(rows)), -len(rows))
        )
        self._odd = {look.name: _odd_rows(self._facts[look.measure].to_numpy(), look) for look in LOOKS}
        self._shortcuts = find_shortcuts(self._facts, self._classes)
        self._deep = _deep_forms(self._facts, hygiene.ranges)
        self._notes = self._find()

    def summary(self) -> HygieneSummary:
        """The page in a few figures."""
        hygiene, used = self._hygiene, len(self._facts)
        return HygieneSummary(
            files=used + len(hygiene.quarantined),
            used=used,
            left_out=dict(Counter(each.reason for each in hygiene.quarantined).most_common()),
            near_duplicates=sum(map(len, self._groups)),
            findings=[Finding(note.title, note.text) for note in self._notes],
            classes=classes_in_words(dict(zip(self._classes, self._counts, strict=True))),
            told=hygiene.told,
        )

    def render(self) -> str:
        """Renders the page."""
        hygiene, used = self._hygiene, len(self._facts)
        reasons = Counter(each.reason for each in hygiene.quarantined)
        return page.render(
            __package__,
            "hygiene.html.j2",
            used=used,
            files=used + len(hygiene.quarantined),
            names=self._classes,
            first_line=self.summary().first_line,
            notes=self._notes,
            classes=self._class_bars(),
            splits=self._present,
            balance=_balance(self._counts),
            reasons=[(bar, _REASONS.get(bar.name, "")) for bar in _bars(reasons)],
            quarantined=hygiene.quarantined[:_FILES],
            quarantine=QUARANTINE,
            ignored=hygiene.ignored,
            grouped=sum(map(len, self._groups)),
            groups=len(self._groups),
            group_galleries=[self._group_gallery(rows) for rows in self._groups[:_GROUPS]],
            odd=len(set().union(*self._odd.values())),
            odd_galleries=[self._odd_gallery(name, rows) for name, rows in self._odd.items() if rows],
            sizes=_sizes(self._facts),
            formats=_bars(_counted(self._facts["format"])),
            cameras=_bars({name or "not recorded": n for name, n in _counted(self._facts["exif"]).items()}),
            deep=self._deep,
            shortcuts=self._shortcuts,
            judged=MIN_IMAGES,
            made=self._made(),
        )

    def _find(self) -> list[Note]:
        return [
            note
            for note in (
                self._alike(),
                self._how_told(),
                self._conflicts(),
                self._suspicious_labels(),
                self._leaks(),
                self._shortcuts_note(),
                self._small_classes(),
                self._imbalance(),
                self._bad_files(),
                self._odd_looks(),
                _note(bool(self.faint()), "Hardly any contrast", " ".join(self.faint()), "depth"),
            )
            if note
        ]

    def _alike(self) -> Note | None:
        alike = classes_alike(self._hygiene.classes)
        return _note(
            bool(alike),
            "Classes that look alike",
            f"{'; '.join(map(alike_in_words, alike))}. If they are one class, give them one name.",
            "classes",
        )

    def _how_told(self) -> Note | None:
        return _note(
            bool(self._hygiene.notes), "How classes were told", f"{'; '.join(self._hygiene.notes)}.", "classes"
        )

    def faint(self) -> list[str]:
        """A sentence on each form of deep pictures some of which came out with hardly any contrast."""
        return [
            f"{each.faint:,} of {each.number:,} pictures of the form {each.name} have hardly any contrast, with "
            f"{each.ranges[0]} as black to white: look whether that is what their samples mean."
            for each in self._deep
            if each.faint
        ]

    def _conflicts(self) -> Note | None:
        number = sum(each.reason == "conflict" for each in self._hygiene.quarantined)
        return _note(
            number > 0,
            "Contradicting labels",
            f"{_files(number)} the very same pixels as a file of another class. All of them are left out: decide "
            "which class is right, and delete the others.",
            "left-out",
        )

    def _suspicious_labels(self) -> Note | None:
        number = sum(len(self._labels_in(rows)) > 1 for rows in self._groups)
        return _note(
            number > 0,
            "Suspicious labels",
            f"{_groups(number)} nearly the same picture in more than one class. Both labels can hardly be right: "
            "look at each, and correct or delete the wrong one.",
            "near-duplicates",
        )

    def _leaks(self) -> Note | None:
        groups = sum(len(self._splits_in(rows)) > 1 for rows in self._groups)
        copies = sum(each.reason == "leak" for each in self._hygiene.quarantined)
        found = [
            *([f"{_groups(groups)} nearly the same picture in more than one split"] if groups else []),
            *([f"{_files(copies)} the very same pixels as a file of another split"] if copies else []),
        ]
        return _note(
            bool(found),
            "Leaks between ready-made splits",
            f"{', and '.join(found)}: a model would be tested on what it has seen. Delete one of each, or have the "
            "data split anew.",
            "near-duplicates" if groups else "left-out",
        )

    def _shortcuts_note(self) -> Note | None:
        found = [shortcut.family for shortcut in self._shortcuts if shortcut.warning]
        return _note(
            bool(found),
            "Shortcuts",
            f"The class can be told without looking at the picture, by {_listed(found)}. A network may learn that "
            "instead of what the pictures show.",
            "shortcuts",
        )

    def _small_classes(self) -> Note | None:
        small = sorted(
            (count, name) for count, name in zip(self._counts, self._classes, strict=True) if count < FEW_IMAGES
        )
        return _note(
            bool(small),
            "Few pictures",
            f"Fewer than {FEW_IMAGES}: {_listed([f'{name} ({count})' for count, name in small])}. An accuracy "
            "measured on so few says little; add more of them.",
            "classes",
        )

    def _imbalance(self) -> Note | None:
        most, least = max(self._counts), min(self._counts)
        largest, smallest = (self._classes[self._counts.index(count)] for count in (most, least))
        return _note(
            most > IMBALANCE * least,
            "Unequal classes",
            f"There are {_times(most / max(1, least))} as many pictures of {largest} as of {smallest}. Add to the "
            "small classes, and trust balanced accuracy rather than accuracy.",
            "classes",
        )

    def _bad_files(self) -> Note | None:
        bad = sum(each.reason not in _USABLE for each in self._hygiene.quarantined)
        share = bad / (len(self._facts) + len(self._hygiene.quarantined))
        return _note(
            share > BAD_SHARE,
            "Many files of no use",
            f"{100 * share:.1f} % of the files ({bad:,}) cannot be used. See the reasons before going on: whole "
            "folders may be missing from the classes.",
            "left-out",
        )

    def _odd_looks(self) -> Note | None:
        number = len(set().union(*self._odd.values()))
        kinds = _listed([f"{len(rows):,} {name}" for name, rows in self._odd.items() if rows])
        usual = number > _USUAL_SHARE * len(self._facts)
        return _note(
            number > 0,
            "Odd-looking pictures",
            f"{kinds}. "
            + (
                "They are so many that it may be how these pictures are; look whether the subject can be seen."
                if usual
                else "They are used; delete those in which you would not know the class yourself."
            ),
            "looks",
        )

    def _class_bars(self) -> list[Bar]:
        of_split = {
            split: np.bincount(self._labels[pc.equal(self._splits, split)], minlength=len(self._classes)).tolist()
            for split in self._present
        }
        order = sorted(range(len(self._counts)), key=lambda label: -self._counts[label])
        return [
            Bar(
                self._classes[label],
                self._counts[label],
                self._counts[label] / max(1, len(self._facts)),
                self._counts[label] / max(1, *self._counts),
                [of_split[split][label] for split in self._present],
            )
            for label in order
        ]

    def _group_gallery(self, rows: Sequence[int]) -> Gallery:
        labels, splits = self._labels_in(rows), self._splits_in(rows)
        marks = []
        if len(labels) > 1:
            marks.append("suspicious: " + _listed([self._classes[label] for label in sorted(labels)]))
        if len(splits) > 1:
            marks.append("leak: " + ", ".join(split for split in SPLITS if split in splits))
        first = Counter[tuple[int, str]]()
        turn = {}
        for row in rows:
            kind = int(self._labels[row]), self._splits[row].as_py()
            first[kind] += 1
            turn[row] = first[kind]
        # One of each kind first, so that what contradicts is seen.
        return self._gallery("", "", sorted(rows, key=turn.__getitem__), _OF_A_GROUP, marks)

    def _odd_gallery(self, name: str, rows: list[int]) -> Gallery:
        return self._gallery(name.capitalize(), _LOOKS[name], rows, _OF_A_LOOK, [])

    def _gallery(self, title: str, text: str, rows: list[int], most: int, marks: list[str]) -> Gallery:
        figures = [
            Figure(
                page.thumbnail(self._hygiene.thumbnail(row), _SIDE),
                self._classes[self._labels[row]],
                self._facts["path"][row].as_py(),
            )
            for row in rows[:most]
        ]
        return Gallery(title, text, len(rows), figures, marks)

    def _labels_in(self, rows: Sequence[int]) -> set[int]:
        return set(self._labels[list(rows)].tolist())

    def _splits_in(self, rows: Sequence[int]) -> set[str]:
        return set(self._splits.take(pa.array(rows, pa.int64())).to_pylist()) - {""}

    def _made(self) -> dict[str, str]:
        libraries = ("headstart", "pillow", "numpy", "scipy", "scikit-learn", "pyarrow")
        return {
            **{f"Source {number}": name for number, name in enumerate(self._hygiene.sources, start=1)},
            "Classes told": self._hygiene.labels_from,
            "Dataset (SHA-256)": self._hygiene.digest,
            "Versions": ", ".join([f"python {python_version()}", *(f"{name} {version(name)}" for name in libraries)]),
        }


def _note(found: bool, title: str, text: str, anchor: str) -> Note | None:
    return Note(title, text, anchor) if found else None


def _odd_rows(values: NDArray[np.float64], look: Look) -> list[int]:
    """Rows that look odd, the most extreme first."""
    rows = np.flatnonzero(look.odd(values))
    order = np.argsort(-values[rows] if look.above else values[rows], kind="stable")
    return list(rows[order].tolist())


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, in the order in which they come."""
    return {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}


def _bars(found: Mapping[str, int]) -> list[Bar]:
    """How often each value occurs, the most frequent first; rare ones beyond the tenth together."""
    counts = Counter(found).most_common()
    total = sum(found.values())
    head, tail = counts[:_VALUES], counts[_VALUES:]
    if tail:
        head.append((f"{len(tail):,} others", sum(number for _, number in tail)))
    return [Bar(name, number, number / total, number / max(n for _, n in head)) for name, number in head]


def _deep_forms(facts: pa.Table, ranges: Ranges) -> list[DeepForm]:
    forms = facts["form"].to_numpy(zero_copy_only=False)
    black, white, contrast = (facts[name].to_numpy() for name in ("black", "white", "contrast"))
    found = []
    for name, number in sorted(_counted(facts["form"].drop_null()).items()):
        rows = forms == name
        said = Counter(zip(black[rows].tolist(), white[rows].tolist(), strict=True))
        own = said.pop(ranges[name], 0) if name in ranges else 0
        shown_ranges = [f"{low:g} to {high:g}" for low, high in [*([ranges[name]] if own else []), *said]]
        source = "the files and the data set" if own and said else "the data set" if own else "the files"
        found.append(DeepForm(name, number, shown_ranges, source, int((contrast[rows] < FAINT).sum())))
    return found


def _balance(counts: list[int]) -> str:
    ratio = max(counts) / max(1, min(counts))
    if ratio < 1.2:
        return "The classes are of one size, or nearly so."
    return f"The largest class has {_times(ratio)} as many pictures as the smallest."


def _sizes(facts: pa.Table) -> Sizes:
    width, height = facts["width"].to_numpy(), facts["height"].to_numpy()
    stored = np.maximum(facts["stored_width"].to_numpy(), facts["stored_height"].to_numpy())
    area = width.astype(np.int64) * height
    order = np.argsort(area, kind="stable")
    least, middle, most = (f"{width[row]:,} x {height[row]:,}" for row in order[[0, len(order) // 2, -1]])
    if (width == width[0]).all() and (height == height[0]).all():
        words = [f"All are {middle} pixels."]
    else:
        words = [f"From {least} to {most} pixels; the middle one by area has {middle}."]
    reduced = int((stored < np.maximum(width, height)).sum())
    if reduced:
        words.append(
            f"{reduced:,} were larger than is kept and reduced to {stored.max():,} pixels at the longest side."
        )
    return Sizes(words, *_scatter(width, height))


def _scatter(
    width: NDArray[np.int32], height: NDArray[np.int32]
) -> tuple[list[tuple[float, float, float]], list[tuple[int, float]]]:
    """Dots of one eighth of a doubling, their areas as the numbers of pictures, and the powers of two for axes."""
    places = Counter(
        zip(*(np.round(8 * np.log2(side)).astype(int).tolist() for side in (width, height)), strict=True)
    )
    if len(places) == 1:
        return [], []
    low = math.floor(min(min(place) for place in places) / 8)
    high = max(low + 1, math.ceil(max(max(place) for place in places) / 8))
    span, largest = high - low, max(places.values())
    dots = [
        ((x / 8 - low) / span, 1 - (y / 8 - low) / span, 0.008 + 0.04 * math.sqrt(number / largest))
        for (x, y), number in places.items()
    ]
    return dots, [(2**power, (power - low) / span) for power in range(low, high + 1)]


def _files(number: int) -> str:
    return "1 file has" if number == 1 else f"{number:,} files have"


def _groups(number: int) -> str:
    return "1 group has" if number == 1 else f"{number:,} groups have"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _listed(words: list[str], most: int = 6) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
