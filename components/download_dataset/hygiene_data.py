"""Data of the hygiene page: what was found in the images and files, and statistics that several sections use."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from headstart.components.core.artifacts.dataset import SPLITS
from headstart.components.core.images.decoding import FAINT
from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.reports.page import shown
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.download_dataset.identity_columns import IdentityColumn
from headstart.components.download_dataset.image_measures import ODD_LOOKS, Measures, OddLook
from headstart.components.download_dataset.shortcuts import find_shortcuts

PAGE_COLUMNS = (
    *("path", "label", "split", "format", "exif", "file_bytes", "width", "height", "stored_width", "stored_height"),
    *("form", "black", "white"),
    *(field.name for field in dataclasses.fields(Measures)),
)
"""Columns of the images' properties that the page shows."""


@dataclasses.dataclass(frozen=True)
class HygieneData:
    """Images and files of a data set, as the page describes them.

    Attributes:
        sources: Names of the sources.
        classes: Class names.
        why: Sentence on how classes were found.
        properties: One row per image of the dataset: `path`, `label` (index into `classes`), `format`, `file_bytes`,
            `exif` (camera), `width` and `height` of the file, `stored_width` and `stored_height` of the stored image,
            `split` (ready-made; empty: none), `form`, `black` and `white` (of images of more than 8 bits, null for
            others), and the fields of `Measures`.
        quarantined: Files that are left out.
        ignored: Number of files of operating systems, such as `.DS_Store`.
        groups: Rows of the near-duplicates of each group, two or more.
        digest: Digest of the dataset.
        read_image: Reads the image of a row.
        label_source: Source of the classes in words, such as ``the folders of pets``.
        notes: Remarks on how classes were found, a sentence each.
        ranges: Black and white of each form of images of more than 8 bits, where the data set decides.
        identities: Columns that look like an identity, and are not named as groups.
        unit: Word for a group that the user names, such as ``patient``; empty: none are named.
        predicted: Balanced accuracy with which the user's group predicts the class; None if it does not.
    """

    sources: Sequence[str]
    classes: Sequence[str]
    why: str
    properties: pa.Table
    quarantined: Sequence[QuarantinedFile]
    ignored: int
    groups: Sequence[Sequence[int]]
    digest: str
    read_image: Callable[[int], Image.Image]
    label_source: str = ""
    notes: Sequence[str] = ()
    ranges: Ranges = dataclasses.field(default_factory=dict)
    identities: Sequence[IdentityColumn] = ()
    unit: str = ""
    predicted: float | None = None


@dataclasses.dataclass(frozen=True)
class DeepForm:
    """Images of more than 8 bits of one form.

    Attributes:
        name: Name of the form, such as ``PNG gray uint16``.
        number: Number of images.
        ranges: Ranges from black to white in words, that of the data set first.
        source: Source of the ranges: the files, the data set, or both.
        low_contrast: Number of images that have low contrast after scaling.
    """

    name: str
    number: int
    ranges: list[str]
    source: str
    low_contrast: int


class HygieneStatistics:
    """Statistics of the data, computed once.

    Attributes:
        data: The data.
        properties: Properties of the images.
        classes: Class names as the page shows them.
        counts: Number of images of each class.
        splits: Ready-made splits that occur, in their order.
        groups: Groups of near-duplicates; those of several classes or splits first.
        odd: Rows of images that look odd by the name of the look, the most extreme first.
        shortcuts: Results of the tests for shortcut features.
        deep_forms: Forms of images of more than 8 bits.
    """

    def __init__(self, data: HygieneData) -> None:
        self.data = data
        self.properties = data.properties
        self.classes = [shown(name) for name in data.classes]
        self._labels = self.properties["label"].to_numpy()
        self._splits = self.properties["split"]
        self.counts: list[int] = np.bincount(self._labels, minlength=len(self.classes)).tolist()
        self.splits = [split for split in SPLITS if split in pc.unique(self._splits).to_pylist()]
        self.groups = sorted(
            data.groups, key=lambda rows: (-len(self.labels_in(rows)), -len(self.splits_in(rows)), -len(rows))
        )
        self.odd = {look.name: _find_odd_rows(self.properties[look.measure].to_numpy(), look) for look in ODD_LOOKS}
        self.shortcuts = find_shortcuts(self.properties, self.classes)
        self.deep_forms = _describe_deep_forms(self.properties, data.ranges)

    @property
    def used(self) -> int:
        """Number of images of the dataset."""
        return len(self.properties)

    @property
    def files(self) -> int:
        """Number of files of the sources, without those of operating systems."""
        return self.used + len(self.data.quarantined)

    @property
    def reasons(self) -> Counter[str]:
        """Number of files that are left out, by reason."""
        return Counter(each.reason for each in self.data.quarantined)

    @property
    def near_duplicates(self) -> int:
        """Number of images that have a near-duplicate."""
        return sum(map(len, self.groups))

    @property
    def odd_images(self) -> int:
        """Number of images that look odd in some way."""
        return len(set().union(*self.odd.values()))

    def label_of(self, row: int) -> int:
        """Index of an image's class."""
        return int(self._labels[row])

    def split_of(self, row: int) -> str:
        """Ready-made split of an image; empty: none."""
        return str(self._splits[row].as_py())

    def labels_in(self, rows: Sequence[int]) -> set[int]:
        """Indices of the classes of some images."""
        return set(self._labels[list(rows)].tolist())

    def splits_in(self, rows: Sequence[int]) -> set[str]:
        """Ready-made splits of some images."""
        return set(self._splits.take(pa.array(rows, pa.int64())).to_pylist()) - {""}

    def counts_of_split(self, split: str) -> list[int]:
        """Number of images of each class in a ready-made split."""
        counts: list[int] = np.bincount(
            self._labels[pc.equal(self._splits, split)], minlength=len(self.classes)
        ).tolist()
        return counts


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """Number of occurrences of each value of a column, in order of the first ones."""
    return {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}


def _find_odd_rows(values: NDArray[np.float64], look: OddLook) -> list[int]:
    """Rows that look odd, the most extreme first."""
    rows = np.flatnonzero(look.is_odd(values))
    order = np.argsort(-values[rows] if look.above else values[rows], kind="stable")
    return list(rows[order].tolist())


def _describe_deep_forms(properties: pa.Table, ranges: Ranges) -> list[DeepForm]:
    forms = properties["form"].to_numpy(zero_copy_only=False)
    black, white, contrast = (properties[name].to_numpy() for name in ("black", "white", "contrast"))
    found = []
    for name, number in sorted(count_values(properties["form"].drop_null()).items()):
        rows = forms == name
        stated = Counter(zip(black[rows].tolist(), white[rows].tolist(), strict=True))
        own = stated.pop(ranges[name], 0) if name in ranges else 0
        words = [f"{low:g} to {high:g}" for low, high in [*([ranges[name]] if own else []), *stated]]
        source = "the files and the data set" if own and stated else "the data set" if own else "the files"
        found.append(DeepForm(name, number, words, source, int((contrast[rows] < FAINT).sum())))
    return found
