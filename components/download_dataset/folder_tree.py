"""The tree of folders that images lie in, with groups of folders that are read as one."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from headstart.components.download_dataset.folder_names import is_holder, names_no_class, split_of

_MAX_DEPTH = 100
"""Deepest folders that are looked at; an image below them has no class."""


@dataclasses.dataclass
class Folder:
    """A folder of images.

    Attributes:
        path: Path relative to the source; empty: the source itself.
        own: Number of images directly in it.
        below: Folders in it that hold images, by name.
    """

    path: str
    own: int = 0
    below: dict[str, "Folder"] = dataclasses.field(default_factory=dict)

    def count_images(self) -> int:
        """Number of images in it and below."""
        return self.own + sum(folder.count_images() for folder in self.below.values())

    def walk(self) -> Iterator["Folder"]:
        """Yields the folder itself and all folders below."""
        yield self
        for folder in self.below.values():
            yield from folder.walk()


Group = list[tuple[Folder, str]]
"""Folders that are read as one, each with its split; empty: none."""


def build_tree(images: Mapping[str, int]) -> Folder:
    """Builds the tree of folders; folders without images, in them or below, are left out.

    Args:
        images: Number of images directly in each folder, by its path relative to the source; empty: the source.
    """
    root = Folder("")
    for path, number in images.items():
        folder = root
        names = path.split("/") if path else []
        if len(names) > _MAX_DEPTH:
            continue
        for name in names:
            inside = f"{folder.path}/{name}" if folder.path else name
            folder = folder.below.setdefault(name, Folder(inside))
        folder.own += number
    _prune(root)
    return root


def _prune(folder: Folder) -> None:
    for each in folder.below.values():
        _prune(each)
    folder.below = {name: each for name, each in folder.below.items() if each.own or each.below}


def children_of(group: Group) -> dict[str, Group]:
    """Folders directly in those of a group, by name; those of one name are one group."""
    children: dict[str, Group] = {}
    for folder, split in group:
        for name, child in folder.below.items():
            children.setdefault(name, []).append((child, split))
    return children


def join_groups(groups: Iterable[Group]) -> Group:
    """All folders of several groups as one group."""
    return [each for group in groups for each in group]


def count_images(group: Group) -> int:
    """Number of images in the folders of a group and below."""
    return sum(folder.count_images() for folder, _ in group)


def count_own_images(group: Group) -> int:
    """Number of images directly in the folders of a group."""
    return sum(folder.own for folder, _ in group)


def count_by_name(groups: Mapping[str, Group]) -> dict[str, int]:
    """Number of images of each group, by its name."""
    return {name: count_images(group) for name, group in groups.items()}


def unwrap(folder: Folder, split: str) -> Group:
    """A folder's content without lone folders around it that say nothing: `seg_train/seg_train`, `val/images`.

    Args:
        folder: The folder.
        split: Its split; empty: that of the first folder around its content that has one.
    """
    while not folder.own and len(folder.below) == 1:
        (name,) = folder.below
        if not (names_no_class(name) or name == folder.path.rpartition("/")[2]):
            break
        folder = folder.below[name]
        split = split or split_of(name)
    return [(folder, split)]


def unwrap_holder(folder: Folder, split: str) -> Group:
    """A class folder's content without a lone holder around it: `n01443537/images`.

    Args:
        folder: The folder.
        split: Its split; empty: none.
    """
    while not folder.own and len(folder.below) == 1 and is_holder(next(iter(folder.below))):
        (folder,) = folder.below.values()
    return [(folder, split)]
