"""Groups that the user names, such as patients or cameras: by a column, by folders, or by a part of the path."""

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Sequence

from headstart.components.core.sources import Source
from headstart.components.core.sources.columns import GROUP
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import list_first, pluralize, quote_name
from headstart.components.download_dataset.file_name_labels import composed, folder_of
from headstart.components.download_dataset.labels import Labelling

PARENT = "parent"
"""Value of `group_from` that takes the folder of a file, below that of its class."""

_WORD = re.compile(r"[a-z]{2,30}")
_IDENTIFIER = re.compile(r"_?(id|ids|no|nr|number|name|key|code|uid)$")
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class GroupRule:
    """Rule that gives the group of each file.

    Attributes:
        column: Column of manifests and Parquet; empty: the column `group`, if there is one and no other rule.
        path: Regular expression whose first capture in a file's path is its group, or `PARENT`; empty: none.

    Raises:
        HeadstartError: If both are given, or the expression is invalid or captures nothing.
    """

    column: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        if self.column and self.path:
            raise HeadstartError(
                f"group_column {self.column!r} and group_from {self.path!r} exclude one another; give one of them"
            )
        if self.path and self.path != PARENT:
            _compile(self.path)


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Groups of all files, as the user names them.

    Attributes:
        unit: Word for a group, such as ``patient``; empty: the user names none.
        told: Source of the groups in words, such as ``the column patient``.
        groups: Group of each file of each source; empty: none.
        notes: Remarks on how groups were found, a sentence each.
    """

    unit: str
    told: str
    groups: list[list[str]]
    notes: list[str]


def find_groups(sources: Sequence[Source], labellings: Sequence[Labelling], rule: GroupRule) -> Grouping:
    """Finds the group of each file.

    Args:
        sources: Opened sources, read with the rule's column.
        labellings: Classes of the files of each source.
        rule: Rule that gives the groups.

    Raises:
        HeadstartError: If the user names a rule that gives no image a group.
    """
    own = [[sys.intern(entry.group) for entry in source.entries] for source in sources]
    has_column = any(map(any, own))
    if rule.path:
        groups = [_groups_by_path(*each, rule.path) for each in zip(sources, labellings, strict=True)]
        unit, told = _describe_path(rule.path)
        notes = [f"column {GROUP!r} is not read, as group_from gives the groups"] if has_column else []
    else:
        groups, notes = own, []
        column = rule.column or GROUP
        unit, told = unit_of(column), f"the column {quote_name(column)}"
        if has_column and not rule.column and _has_one_value(own):
            groups = [[""] * len(each) for each in own]
            notes.append(f"column {GROUP!r} has one value for all images, and is not read as groups")
        elif has_column and not rule.column:
            notes.append(
                f"images that share a value of the column {GROUP!r} stay in one split; rename the column if it means "
                "something else"
            )
    labelled = [
        (entry.path, group)
        for source, labelling, each in zip(sources, labellings, groups, strict=True)
        for entry, label, group in zip(source.entries, labelling.labels, each, strict=True)
        if label
    ]
    named = sum(bool(group) for _, group in labelled)
    if not named:
        if rule.column or rule.path:
            raise _no_group_error(sources, [path for path, _ in labelled], rule)
        return Grouping("", "", groups, notes)
    if named < len(labelled):
        first = next(path for path, group in labelled if not group)
        notes.append(
            f"{len(labelled) - named:,} of {len(labelled):,} files have no group by {told}, such as "
            f"{quote_name(first)}; each of them is a group by itself"
        )
    return Grouping(unit, told, groups, notes)


def _has_one_value(groups: list[list[str]]) -> bool:
    return len({group for each in groups for group in each}) == 1


def unit_of(column: str) -> str:
    """What the values of a column stand for, in a word: ``patient`` for `Patient ID`; ``group`` if it is no word.

    Args:
        column: Name of the column.
    """
    name = column.strip().casefold().replace(" ", "_").replace("-", "_")
    name = _IDENTIFIER.sub("", name)
    return name if _WORD.fullmatch(name) else GROUP


def _compile(expression: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise HeadstartError(
            f"group_from {expression!r} is no regular expression ({error}); give one such as '(patient\\d+)', or "
            f"{PARENT!r} for the folder below the class"
        ) from None
    if not compiled.groups:
        raise HeadstartError(
            f"group_from {expression!r} captures nothing; put the part of the path that names the group into "
            "parentheses, such as '(patient\\d+)'"
        )
    return compiled


def _groups_by_path(source: Source, labelling: Labelling, rule: str) -> list[str]:
    if rule == PARENT:
        files = zip(source.entries, labelling.labels, strict=True)
        return [sys.intern(_folder_below_class(folder_of(entry.path), label)) for entry, label in files]
    expression = _compile(rule)
    found = (expression.search(entry.path) for entry in source.entries)
    return [sys.intern((match and match[1]) or "") for match in found]


def _folder_below_class(folder: str, label: str) -> str:
    """Folders of a file below that of its class; all of them where none has the class's name."""
    parts = folder.split("/")
    names = [composed(part) for part in parts]
    return "/".join(parts[names.index(label) + 1 :] if label in names else parts)


def _describe_path(rule: str) -> tuple[str, str]:
    """What a group is, and where it comes from, in words."""
    if rule == PARENT:
        return GROUP, "the folder below the class"
    named = _compile(rule).groupindex
    return next(
        (unit_of(name) for name, number in named.items() if number == 1), GROUP
    ), f"the path, by {quote_name(rule)}"


def _no_group_error(sources: Sequence[Source], paths: list[str], rule: GroupRule) -> HeadstartError:
    names = ", ".join(source.name for source in sources)
    first = quote_name(paths[0])
    if rule.column:
        return HeadstartError(
            f"group_column {rule.column!r}: data {names!r} give no image a value of that column; pass a manifest or "
            "Parquet that has it, or name groups by a part of the path with group_from"
        )
    if rule.path == PARENT:
        return HeadstartError(
            f"group_from {PARENT!r}: no file of data {names!r} lies in a folder below that of its class, such as "
            f"{first}; put the files of each group into a folder, or give a regular expression"
        )
    return HeadstartError(
        f"group_from {rule.path!r} matches none of {len(paths):,} files of data {names!r}, such as {first}; correct "
        "the expression, which is searched in the path below the data"
    )


def describe_largest(groups: Sequence[str], unit: str) -> str:
    """The largest groups with their numbers of images, in words."""
    counts = Counter(filter(None, groups)).most_common()
    return f"{len(counts):,} {pluralize(unit, len(counts))}: " + list_first(
        [f"{name} ({number})" for name, number in counts], _NAMES_SHOWN
    )
