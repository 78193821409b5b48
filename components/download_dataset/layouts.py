"""Layout of the folders of a source: which are classes, which are splits, and which are neither.

The topmost folders that divide the images are the classes. Other folders are looked through or left out: splits
(`train`, `val2017`, `test_images`), plain holders (`images`), companions of the images (`annotations`, `masks`) and
samples (`examples`). Wherever names alone do not decide, `AmbiguousLayout` is raised.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from headstart.components.core.sources.file_names import SPLIT_NAMES
from headstart.components.core.util.printable import list_first
from headstart.components.download_dataset.class_names import describe_classes
from headstart.components.download_dataset.folder_names import (
    is_beside_images,
    is_holder,
    is_session,
    is_session_or_number,
    is_split_name,
    is_variant,
    lies_beside_images,
    names_no_class,
    split_of,
)
from headstart.components.download_dataset.folder_tree import (
    Folder,
    Group,
    build_tree,
    children_of,
    count_by_name,
    count_images,
    count_own_images,
    join_groups,
    unwrap,
    unwrap_holder,
)

_FEW = 3
"""Images that a class needs to have one in each split."""

_NAMES_SHOWN = 5

_BESIDE = "it lies beside the images"


@dataclasses.dataclass(frozen=True)
class Interpretation:
    """One way to understand the folders.

    Attributes:
        option: Command-line option that selects it, such as ``--class-level 1``.
        classes: Number of images of each class.
    """

    option: str
    classes: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.option} takes {describe_classes(self.classes)}"


class AmbiguousLayout(Exception):
    """The folders can be understood in more than one way.

    Args:
        why: Statement of what is unclear.
        interpretations: Ways to understand the folders, at least one.
    """

    def __init__(self, why: str, interpretations: list[Interpretation]) -> None:
        super().__init__(f"{why}; {'; '.join(map(str, interpretations))}")


@dataclasses.dataclass
class Layout:
    """Classes and splits of the folders that images lie in.

    Attributes:
        classes: Class of each folder; empty: none.
        splits: Split of each folder, ``train``, ``validation`` or ``test``; empty: none.
        left_out: Reason why the images of a folder are left out, by folder.
        notes: Remarks on how classes were found, a sentence each.
    """

    classes: dict[str, str]
    splits: dict[str, str]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def read_layout(images: Mapping[str, int], level: int = 0, decided: bool = False) -> Layout:
    """Infers the classes from the folders.

    Args:
        images: Number of images directly in each folder, by its path relative to the source; empty: the source
            itself.
        level: Position in an image's path of the folder that is its class, from 1, the topmost; 0: the topmost that
            divides the images.
        decided: True to leave out folders whose names stand for no class (`test`, `examples`, `masks`) without a
            question where at least two classes lie beside them.

    Returns:
        Layout with an entry in `classes` and `splits` for each key of `images`.

    Raises:
        AmbiguousLayout: If the folders can be understood in more than one way.
    """
    layout = Layout(dict.fromkeys(images, ""), dict.fromkeys(images, ""))
    if level:
        _read_level(images, level, layout)
    else:
        root = build_tree(images)
        reader = _LayoutReader(layout, decided)
        reader.read([(root, "")], 1)
        if not any(layout.classes.values()):
            reader.read_single_class(root)
    return layout


def _read_level(images: Mapping[str, int], level: int, layout: Layout) -> None:
    for path, number in images.items():
        parts = path.split("/") if path else []
        if len(parts) < level:
            if number:
                layout.left_out[path] = f"it lies in fewer than {level} folders, and class_level is {level}"
        elif lies_beside_images("/".join(parts[: level - 1])):
            layout.left_out[path] = _BESIDE
        else:
            layout.classes[path] = parts[level - 1]
            around = [*parts[: level - 1], *parts[level : level + 1]]
            layout.splits[path] = next(filter(None, map(split_of, around)), "")
    layout.notes.append(f"folder {level} of each path, counted from the topmost, as class_level says")


class _LayoutReader:
    """Reads a tree of folders into a layout.

    Args:
        layout: Layout to fill.
        decided: See `read_layout`.
    """

    def __init__(self, layout: Layout, decided: bool) -> None:
        self._layout = layout
        self._decided = decided

    def read(self, group: Group, level: int) -> None:
        """Finds the classes below the folders of a group.

        Args:
            group: The folders.
            level: Level of the folders in them, as `--class-level` counts.
        """
        children = children_of(group)
        if not children:
            return
        if len(children) == 1:
            (child,) = children.values()
            self.read(child, level + 1)
            return
        children = self._join_copies(children)
        plain = {name: child for name, child in children.items() if not names_no_class(name)}
        if not plain:
            self._read_holders_and_splits(children, level)
            return
        parts = [name for name, child in children.items() if split_of(name) and _has_class_folders(child)]
        train_is_class = [name.lower() for name in parts] == ["train"] and len(plain) > 1
        train_is_class = train_is_class and all(map(_has_class_folders, plain.values()))
        if parts and not train_is_class and not self._is_class_named_like_split(parts, plain, children, level):
            self._read_splits(children, parts, level)
        else:
            self._read_classes(children, plain, level)

    def read_single_class(self, root: Folder) -> None:
        """Makes all images one class, where they lie in one folder, or in folders within one another."""
        folder, names = root, []
        while len(folder.below) == 1 and (folder is root or not folder.own):
            ((name, folder),) = folder.below.items()
            names.append(name)
        telling = [name for name in names if not names_no_class(name)]
        telling = [name for name in telling if not is_session_or_number(name)] or telling
        if telling and folder.own:
            self._set_class(telling[-1], [(folder, "")])

    def _known_folders(self, group: Group) -> Iterator[tuple[str, str]]:
        """Yields path and split of each folder of a group or below that has an entry in the layout."""
        for top, split in group:
            yield from ((folder.path, split) for folder in top.walk() if folder.path in self._layout.classes)

    def _set_class(self, name: str, group: Group) -> None:
        """Makes all images in and below the folders of a group one class."""
        for path, split in self._known_folders(group):
            self._layout.classes[path] = name
            self._layout.splits[path] = split

    def _leave_out(self, name: str, group: Group, why: str) -> None:
        for path, _ in self._known_folders(group):
            self._layout.left_out[path] = why
        self._layout.notes.append(f"left out: {name} ({count_images(group):,} files), {why}")

    def _join_copies(self, children: dict[str, Group]) -> dict[str, Group]:
        """Joins a folder that holds copies of the class folders beside it with these."""
        plain = {name: child for name, child in children.items() if not names_no_class(name)}
        within = {name: children_of(child) for name, child in plain.items() if not count_own_images(child)}
        copies = [name for name, names in within.items() if names and names.keys() <= plain.keys() - {name}]
        if not copies or len(plain) - len(copies) < 2:
            return children
        kept = {name: child for name, child in children.items() if name not in copies}
        for copy in copies:
            for name, group in within[copy].items():
                kept[name] = [*kept.get(name, []), *group]
            self._layout.notes.append(f"{copy} holds the same class folders as lie beside it, and is read with them")
        return kept

    def _read_holders_and_splits(self, children: Mapping[str, Group], level: int) -> None:
        """Reads folders of which no name stands for a class: splits, holders, annotations."""
        kept = {name: child for name, child in children.items() if split_of(name) or is_holder(name)}
        if not kept:
            return
        for name in sorted(children.keys() - kept.keys()):
            self._leave_out(name, children[name], _why_no_class(name))
        self._read_splits(kept, list(kept), level)

    def _read_splits(self, children: Mapping[str, Group], parts: list[str], level: int) -> None:
        """Reads the classes below splits that lie beside one another.

        Args:
            children: All folders beside one another, by name.
            parts: Names of those that are splits.
            level: Level of the folders.
        """
        within = {
            name: join_groups(unwrap(folder, split or split_of(name)) for folder, split in children[name])
            for name in parts
        }
        with_classes = {name: group for name, group in within.items() if children_of(group)}
        if not with_classes:
            return
        known = self._without_foreign_splits(with_classes, children, level)
        classes = {name for group in known.values() for name in children_of(group)}
        siblings = {name: children[name] for name in sorted(children.keys() - with_classes.keys())}
        joined, strangers = self._sort_siblings(siblings, parts, classes)
        merged = [*join_groups(known.values()), *joined]
        if strangers and not self._decided:
            one = len(parts) == 1
            raise AmbiguousLayout(
                f"{_listed(parts)} hold{'s' if one else ''} class folders, and {_listed(strangers)} "
                f"beside {'it' if one else 'them'} is none of these classes",
                [
                    Interpretation(f"--class-level {level}", count_by_name(children)),
                    Interpretation("--labels folders", count_by_name(children_of(merged))),
                ],
            )
        for name, child in strangers.items():
            self._leave_out(name, child, "it is none of the class folders of the splits beside it")
        for folder, _ in merged:
            if folder.own and not folder.below:
                self._layout.left_out[folder.path] = "it lies in no class folder, and others do"
        depths = {folder.path.count("/") + 1 for folder, _ in merged if folder.path}
        self.read(merged, min(depths, default=level) + 1)

    def _sort_siblings(
        self, siblings: Mapping[str, Group], parts: list[str], classes: set[str]
    ) -> tuple[Group, dict[str, Group]]:
        """Sorts folders beside splits into those that hold classes of the splits, and strangers; leaves out others.

        Args:
            siblings: The folders by name.
            parts: Names of the splits.
            classes: Names of the classes in the splits.

        Returns:
            Folders to read with the splits, and strangers by name.
        """
        joined: Group = []
        strangers: dict[str, Group] = {}
        for name, child in siblings.items():
            inside = join_groups(unwrap(folder, split) for folder, split in child)
            names = set(children_of(inside))
            if all(map(split_of, names)):
                names = {each for group in children_of(inside).values() for each in children_of(group)}
            if name in classes:
                joined += [(Folder("", below={name: folder}), split) for folder, split in child]
            elif names & classes:
                joined += inside
            elif split_of(name) or name in parts:
                self._leave_out(name, child, "it has no class folders, and those beside it have")
            elif names_no_class(name):
                self._leave_out(name, child, _why_no_class(name))
            else:
                strangers[name] = child
        return joined, strangers

    def _without_foreign_splits(
        self, splits: dict[str, Group], children: Mapping[str, Group], level: int
    ) -> dict[str, Group]:
        """Leaves out validation and test folders whose own folders are no classes: `test/unknown`."""
        names = {name: set(children_of(group)) for name, group in splits.items()}
        kept = dict(splits)
        for name in splits:
            others = set().union(*(names[other] for other in names if other != name))
            if split_of(name) in ("validation", "test") and len(others) > 1 and not names[name] & others:
                if len(names[name]) > 1 and not self._decided:
                    inside = children_of(join_groups(splits.values()))
                    raise AmbiguousLayout(
                        f"{name} holds folders that those beside it lack",
                        [
                            Interpretation(f"--class-level {level + 1}", count_by_name(inside)),
                            Interpretation("--labels folders", {each: count_images(inside[each]) for each in others}),
                        ],
                    )
                self._leave_out(name, children[name], "its folders are none of the classes of those beside it")
                del kept[name]
        return kept

    def _is_class_named_like_split(
        self, parts: list[str], plain: Mapping[str, Group], children: Mapping[str, Group], level: int
    ) -> bool:
        """Whether a single folder named like a split is a class: it holds the same folders as those beside it."""
        if len(parts) > 1 or len(children) > len(plain) + 1:
            return False
        names = {name: set(children_of(children[name])) for name in children}
        within = names[parts[0]]
        crossed = [name for name in plain if names[name] & within and not all(map(split_of, names[name]))]
        if not crossed:
            return False
        if all(is_session_or_number(name) for each in names.values() for name in each):
            return True
        if self._decided:
            return False
        raise AmbiguousLayout(
            f"{parts[0]} is named like a split and holds the same folders as {_listed(crossed)}",
            [
                Interpretation(f"--class-level {level}", count_by_name(children)),
                Interpretation(f"--class-level {level + 1}", _count_below(children)),
            ],
        )

    def _read_classes(self, children: Mapping[str, Group], plain: Mapping[str, Group], level: int) -> None:
        """Takes folders that lie beside one another for classes; asks where a name makes one doubtful.

        Args:
            children: All folders beside one another, by name.
            plain: Those of them whose names may stand for a class.
            level: Level of the folders.
        """
        classes = dict(plain)
        doubtful: dict[str, Group] = {}
        for name in sorted(children.keys() - plain.keys()):
            if is_split_name(name):
                if self._is_class_beside(name, children, plain):
                    classes[name] = children[name]
                elif all(count_images(children[each]) < _FEW for each in children if is_split_name(each)):
                    self._leave_out(name, children[name], "it is named like a split, and has too few for a class")
                else:
                    doubtful[name] = children[name]
            elif split_of(name):
                self._leave_out(name, children[name], "it is named like a split, and has no class folders")
            else:
                doubtful[name] = children[name]
        if doubtful:
            self._leave_out_doubtful(doubtful, classes, children, level)
        like_splits = sorted(filter(is_split_name, classes))
        if like_splits:
            self._layout.notes.append(
                f"taken for a class, not for a split, as it lies beside others: {_listed(like_splits)}"
            )
        self._choose_level(classes, level)

    def _is_class_beside(self, name: str, children: Mapping[str, Group], plain: Mapping[str, Group]) -> bool:
        """Whether a folder with the name of a split is a class, by the folders beside it: `train` beside `plane`."""
        like_splits = list(filter(is_split_name, children))
        only_train = [each.lower() for each in like_splits] == ["train"]
        return len(plain) == len(like_splits) == 1 or only_train or SPLIT_NAMES[name.lower()] == "validation"

    def _leave_out_doubtful(
        self,
        doubtful: Mapping[str, Group],
        classes: Mapping[str, Group],
        children: Mapping[str, Group],
        level: int,
    ) -> None:
        """Leaves out folders whose names stand for no class, if that was decided; otherwise asks."""
        if not self._decided or len(classes) < 2:
            ways = [Interpretation(f"--class-level {level}", count_by_name(children))]
            if len(classes) > 1:
                ways.append(Interpretation("--labels folders", count_by_name(classes)))
            below = _count_below(children)
            if len(below) > 1:
                ways.append(Interpretation(f"--class-level {level + 1}", below))
            whose = "its" if len(doubtful) == 1 else "their"
            raise AmbiguousLayout(f"{_listed(doubtful)} may be no class, by {whose} name", ways)
        for name, group in doubtful.items():
            self._leave_out(name, group, "by its name it is no class")

    def _choose_level(self, classes: dict[str, Group], level: int) -> None:
        """Takes folders for the classes unless folders below them may be meant; asks if they may.

        Args:
            classes: The folders by name.
            level: Level of the folders.
        """
        classes = {
            name: [(self._without_companions(folder), split) for folder, split in group]
            for name, group in classes.items()
        }
        inside = {
            name: join_groups(unwrap_holder(folder, split) for folder, split in group)
            for name, group in classes.items()
        }
        below = {name: children_of(group) for name, group in inside.items()}
        names = Counter(name for each in below.values() for name in each)
        while len(names) == 1 and all(below.values()) and not any(map(split_of, names)):
            # A folder of one name in each class divides nothing; those in it might.
            inside = {name: join_groups(parts.values()) for name, parts in below.items()}
            below = {name: children_of(group) for name, group in inside.items()}
            names = Counter(name for each in below.values() for name in each)
        if names and all(map(split_of, names)):
            self._read_splits_in_classes(classes, below, level)
            return
        sessions = all(map(is_session, classes))
        here = Interpretation(f"--class-level {level}", count_by_name(classes))
        covered = all(below.values()) and not any(count_own_images(group) for group in inside.values())
        if covered and len(names) > 1:
            content = join_groups(inside.values())
            depth = max((folder.path.count("/") + 2 for folder, _ in content), default=level + 1)
            there = Interpretation(f"--class-level {depth}", count_by_name(children_of(content)))
            if all(map(is_variant, classes)) and max(names.values()) > 1:
                raise AmbiguousLayout(
                    f"{_listed(classes)} hold variants of the same classes: pass one of these folders as data, or",
                    [here, there],
                )
            if sessions and (found := _classes_below_sessions(content)):
                self._layout.notes.append(f"{_listed(classes)} are named as sessions, and hold the same folders")
                self.read(found, depth + max(found[0][0].path.count("/") + 2 - depth, 0))
                return
            _check_classes_on_one_level(classes, below, [here, there])
        elif sessions and not self._decided:
            raise AmbiguousLayout("the folders are named as sessions, not as classes", [here])
        if names:
            self._layout.notes.append(
                f"folders below are no classes: {_listed(sorted(names))}; the topmost that divide the files are"
            )
        for name, group in classes.items():
            self._set_class(name, group)

    def _without_companions(self, folder: Folder) -> Folder:
        """A class folder without masks and annotations beside its images."""
        companions = list(filter(is_beside_images, folder.below))
        if not companions or not (folder.own or len(folder.below) > len(companions)):
            return folder
        for name in companions:
            self._leave_out(f"{folder.path}/{name}", [(folder.below[name], "")], _BESIDE)
        below = {name: each for name, each in folder.below.items() if name not in companions}
        return dataclasses.replace(folder, below=below)

    def _read_splits_in_classes(
        self, classes: dict[str, Group], below: Mapping[str, Mapping[str, Group]], level: int
    ) -> None:
        """Takes folders for classes each of which holds its splits."""
        deeper = {name: children_of(join_groups(parts.values())) for name, parts in below.items()}
        names = Counter(name for each in deeper.values() for name in each)
        if len(names) > 1 and max(names.values()) > 1 and not _are_sessions(names, deeper):
            inside = children_of(join_groups(group for parts in below.values() for group in parts.values()))
            raise AmbiguousLayout(
                "folders on more than one level could be the classes",
                [
                    Interpretation(f"--class-level {level}", count_by_name(classes)),
                    Interpretation(f"--class-level {level + 2}", count_by_name(inside)),
                ],
            )
        for name, group in classes.items():
            self._set_class(name, group)
            for part, folders in below[name].items():
                self._set_class(name, [(folder, split or split_of(part)) for folder, split in folders])
        self._layout.notes.append("each class folder holds its splits")


def _check_classes_on_one_level(
    classes: Mapping[str, Group], below: Mapping[str, Mapping[str, Group]], ways: list[Interpretation]
) -> None:
    """Refuses to guess where the folders below classes may be classes themselves, or the classes may be sessions.

    Raises:
        AmbiguousLayout: If they may.
    """
    names = {name for each in below.values() for name in each}
    sessions = all(map(is_session, classes))
    one_folder_each = not sessions and all(len(each) == 1 for each in below.values())
    if not _are_sessions(names, below) and not one_folder_each:
        raise AmbiguousLayout("folders on more than one level could be the classes", ways)
    if sessions:
        raise AmbiguousLayout("the folders are named as sessions, not as classes", ways)


def _are_sessions(names: Iterable[str], below: Mapping[str, Mapping[str, Group]]) -> bool:
    """Whether folders below classes say only when, or of whom, an image was taken."""
    if all(map(is_session, names)):
        return True
    same = len({frozenset(each) for each in below.values()}) == 1
    return not same and all(map(is_session_or_number, names))


def _classes_below_sessions(group: Group) -> Group:
    """Folders that hold the same folders, found through sessions within sessions; empty: there are none."""
    while children := children_of(group):
        if not all(map(is_session_or_number, children)):
            return group if max(map(len, children.values())) > 1 else []
        group = join_groups(children.values())
    return []


def _has_class_folders(group: Group) -> bool:
    """Whether there are folders below that could be classes, not only holders and splits."""
    names = children_of(join_groups(unwrap(folder, split) for folder, split in group))
    return any(not names_no_class(name) for name in names)


def _count_below(children: Mapping[str, Group]) -> dict[str, int]:
    """Number of images of each folder one level below, by its name."""
    return count_by_name(children_of(join_groups(children.values())))


def _why_no_class(name: str) -> str:
    return _BESIDE if is_beside_images(name) else "it is named as a sample"


def _listed(names: Iterable[str]) -> str:
    return list_first(list(names), _NAMES_SHOWN)
