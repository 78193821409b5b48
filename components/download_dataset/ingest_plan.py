"""Plan of the files to read: opened sources with the class of each file."""

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from headstart.components.core.artifacts.dataset import GROUP_COLUMNS
from headstart.components.core.sources import Source, Unreadable
from headstart.components.core.sources.corrections import Corrections, read_corrections
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.printable import quote_name
from headstart.components.download_dataset.class_names import (
    describe_classes,
    describe_similar_names,
    find_similar_names,
    note_multi_label_names,
)
from headstart.components.download_dataset.group_names import Grouping, describe_largest, find_groups
from headstart.components.download_dataset.image_checks import FileToCheck
from headstart.components.download_dataset.labels import LEFT_OUT, RULE_SOURCES, Labelling, infer_labels
from headstart.components.download_dataset.settings import DownloadSettings


@dataclasses.dataclass(frozen=True)
class IngestPlan:
    """Sources with the classes of their files.

    Attributes:
        sources: Opened sources.
        labellings: Classes of the files of each source.
        classes: Class names of all sources, sorted.
        extra: Names of further columns of the sources.
        corrections: Corrected classes of some images.
        settings: Settings of the step.
        label_source: Source of the classes in words, such as ``the folders of pets``.
        notes: Remarks on how sources were read and classes found, a sentence each.
        grouping: Groups of the files that the user names.
    """

    sources: Sequence[Source]
    labellings: Sequence[Labelling]
    classes: list[str]
    extra: list[str]
    corrections: Corrections
    settings: DownloadSettings
    label_source: str
    notes: list[str]
    grouping: Grouping

    @property
    def name(self) -> str:
        """Names of all sources."""
        return _join_names(self.sources)

    @property
    def files(self) -> int:
        """Number of files of all sources."""
        return sum(len(source.entries) for source in self.sources)

    @property
    def left_out(self) -> int:
        """Number of files that are left out on purpose."""
        return sum(sum(map(bool, labelling.left_out)) for labelling in self.labellings)

    def files_to_check(self) -> Iterator[FileToCheck]:
        """Yields all files of all sources; those without a class cannot be loaded."""
        prefixes = _path_prefixes(self.sources)
        groups = self.grouping.groups
        return itertools.chain.from_iterable(map(_files_of_source, self.sources, self.labellings, groups, prefixes))


def make_plan(sources: Sequence[Source], settings: DownloadSettings) -> IngestPlan:
    """Infers the class of each file, reads the corrections, and logs what was found.

    Args:
        sources: Opened sources.
        settings: Settings of the step.

    Raises:
        HeadstartError: If there are too few classes, the user names groups and no file has one, or the corrections
            cannot be read.
    """
    labellings = [_label_files(source, settings, len(sources)) for source in sources]
    classes = sorted({label for labelling in labellings for label in labelling.labels} - {""})
    name = _join_names(sources)
    if len(classes) < settings.min_classes:
        raise HeadstartError(
            f"data {name!r} show only one class, {quote_name(classes[0])}; a classifier needs two or more"
        )
    counts = Counter(label for labelling in labellings for label in labelling.labels if label)
    rules = dict.fromkeys(RULE_SOURCES[labelling.rule] for labelling in labellings)
    label_source = f"{' and '.join(rules)} of {name}"
    event("classes", number=len(classes), classes=describe_classes(counts), told=label_source, data=name)
    notes = [note for source in sources for note in source.notes]
    notes = list(dict.fromkeys([*notes, *(note for labelling in labellings for note in labelling.notes)]))
    notes += note_multi_label_names(classes)
    grouping = find_groups(sources, labellings, settings.group_rule)
    if grouping.unit:
        named = [group for groups in grouping.groups for group in groups]
        event("groups", unit=grouping.unit, told=grouping.told, groups=describe_largest(named, grouping.unit))
    for note in (*notes, *grouping.notes, *map(describe_similar_names, find_similar_names(classes))):
        event("warning", text=note)
    columns = (column for source in sources for entry in source.entries for column in parse_extra(entry.extra))
    extra = [name for name in dict.fromkeys(columns) if not (grouping.unit and name in GROUP_COLUMNS)]
    corrections = read_corrections(settings.corrections, classes, settings.accept_suggestions)
    return IngestPlan(sources, labellings, classes, extra, corrections, settings, label_source, notes, grouping)


def parse_extra(extra: str) -> dict[str, str]:
    """Further columns of a file by name.

    Args:
        extra: JSON object of texts; empty: none.
    """
    return dict(json.loads(extra)) if extra else {}


def _join_names(sources: Sequence[Source]) -> str:
    return ", ".join(source.name for source in sources)


def _label_files(source: Source, settings: DownloadSettings, sources: int) -> Labelling:
    read = functools.partial(infer_labels, source.entries, source.name, settings.labels, level=settings.class_level)
    try:
        labelling = read(min_classes=2 if sources == 1 else 1)
    except HeadstartError:
        if settings.min_classes > 1:
            raise
        # First as if there were several classes: one that is all there is may come from the wrong folder.
        labelling = read(min_classes=1)
    counts = Counter(labelling.splits)
    ready = {f"ready_{split}": number for split, number in counts.items() if split}
    event("source", data=source.name, files=len(source.entries), ignored=source.ignored, **ready)
    event("labels", rule=labelling.rule, why=labelling.why)
    return labelling


def _path_prefixes(sources: Sequence[Source]) -> list[str]:
    """Prefixes of paths, so that files of several sources have different paths."""
    if len(sources) == 1:
        return [""]
    names = [PurePosixPath(source.name).name for source in sources]
    if len(set(names)) < len(names):
        names = [source.name for source in sources]
    return [f"{name}/" for name in names]


def _files_of_source(
    source: Source, labelling: Labelling, groups: Sequence[str], prefix: str
) -> Iterator[FileToCheck]:
    left_out = labelling.left_out or itertools.repeat("", len(source.entries))
    rows = zip(source.entries, labelling.labels, labelling.splits, left_out, groups, source.loaders(), strict=True)
    for entry, label, split, why, group, load in rows:
        no_class = functools.partial(_raise_no_class, labelling.rule, why)
        yield FileToCheck(prefix + entry.path, label, split, entry.extra, load if label else no_class, group)


def _raise_no_class(rule: str, left_out: str) -> bytes:
    if left_out:
        raise Unreadable(LEFT_OUT, left_out)
    raise Unreadable("no class", f"classes come from {RULE_SOURCES[rule]}; this file has none")
