"""Which folders of a source are its classes, which are splits, and which are neither.

The topmost folders that divide the pictures are the classes. Folders that say something else are looked through or
left out: splits (`train`, `val2017`, `test_images`), plain holders (`images`), what lies beside the pictures
(`annotations`, `masks`), samples (`examples`), and wherever names alone do not decide, `Ambiguous` is raised.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from headstart.components.core.sources.file_names import SPLIT_NAMES
from headstart.components.download_dataset.class_counts import classes_in_words

_FEW = 3
"""Pictures that a class needs to have one in each split."""

_DEEPEST = 100
"""Folders within one another that are looked at; a picture below more has no class."""

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Words beside that of a split which say nothing more: train_images, test_set, seg_train, val2017.
_FILLERS = {
    *(
        "image",
        "images",
        "img",
        "imgs",
        "pic",
        "pics",
        "picture",
        "pictures",
        "photo",
        "photos",
        "jpg",
        "jpeg",
        "png",
    ),
    *("set", "data", "dataset", "split", "seg", "folder", "dir", "files", "original", "resized", "full"),
}
_HOLDERS = {
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos", "jpg", "jpeg"),
    *("jpegimages", "png", "data", "dataset", "files", "all", "rgbimages", "alldata", "allimages"),
}
_BESIDE = {
    *("annotation", "annotations", "trimap", "trimaps", "masks", "xml", "xmls", "meta", "metadata", "bbox", "bboxes"),
    *("boundingboxes", "segmentation", "segmentations", "segmentationclass", "segmentationobject", "imagesets"),
    *("groundtruth", "gt", "saliency", "labels", "labelmaps", "maskimages", "imagemasks", "segmentationmasks"),
}
_SAMPLES = {
    *("example", "examples", "sample", "samples", "sampleimages", "exampleimages", "demo", "demos", "preview"),
    *("previews", "thumbnails", "thumbs", "unlabeled", "unlabelled", "pred", "preds", "prediction", "predictions"),
    *("predict", "topredict", "segpred", "submission", "unsup", "unsupervised"),
}
_VARIANTS = {
    *("color", "colour", "gray", "grey", "grayscale", "greyscale", "segmented", "original", "originals", "augmented"),
    *("raw", "cropped", "resized", "withaugmentation", "withoutaugmentation", "processed", "preprocessed"),
}
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun"
_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec"
)
_OCCASION = (
    "session|batch|fold|part|chunk|run|camera|cam|seq|sequence|video|clip|take|burst|day|week|month|year|visit|"
    "patient|subject|participant|volume|vol|disc|disk|upload|shoot|roll|device|phone|shard"
)
_SESSION = re.compile(
    rf"(?:{_DAY}|{_MONTH}|(?:{_MONTH})\W?\d{{1,4}}|\d{{1,2}}\W?(?:{_MONTH})(?:\W?\d{{2,4}})?"
    r"|(?:19|20)\d\d(?:[-_. ]?\d\d?){0,2}(?:[-_. T]?\d\d?){0,3}|\d\d?[-_.]\d\d?[-_.](?:19|20)?\d\d"
    rf"|(?:{_OCCASION})[-_ #.]?\d+|(?:{_OCCASION})[-_ #.][a-z])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[a-z]{0,3}[-_ ]?\d+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Reading:
    """One way to understand the folders.

    Attributes:
        ask: What selects it, such as ``--class-level 1``.
        classes: Pictures of each class.
    """

    ask: str
    classes: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.ask} takes {classes_in_words(self.classes)}"


class Ambiguous(Exception):
    """The folders can be understood in more than one way.

    Args:
        why: What is not clear, in words.
        readings: The ways, at least one.
    """

    def __init__(self, why: str, readings: list[Reading]) -> None:
        super().__init__(f"{why}; {'; '.join(map(str, readings))}")


@dataclasses.dataclass
class Layout:
    """What the folders that pictures lie in say.

    Attributes:
        classes: The class of each folder; empty where it has none.
        splits: The split of each folder, ``train``, ``validation`` or ``test``; empty where it has none.
        left_out: Why the pictures of a folder are left out, by folder.
        notes: What a reader should know of how classes were told.
    """

    classes: dict[str, str]
    splits: dict[str, str]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Folder:
    """A folder, with the pictures that lie in it itself, and the folders in it that hold pictures."""

    path: str
    own: int = 0
    below: dict[str, "_Folder"] = dataclasses.field(default_factory=dict)

    def pictures(self) -> int:
        return self.own + sum(folder.pictures() for folder in self.below.values())

    def all(self) -> Iterator["_Folder"]:
        yield self
        for folder in self.below.values():
            yield from folder.all()


_Group = list[tuple[_Folder, str]]
"""Folders that are read as one, each with its split."""


def read_layout(pictures: Mapping[str, int], level: int = 0, decided: bool = False) -> Layout:
    """Reads the classes from the folders.

    Args:
        pictures: Pictures that lie directly in each folder, by its path relative to the source; empty: the source
            itself.
        level: Which folder of a picture's path is its class, from 1, the topmost; 0: the topmost that divides the
            pictures.
        decided: Whether folders whose names stand for no class (`test`, `examples`, `masks`) are left out without a
            question where at least two classes lie beside them.

    Returns:
        The layout, with an entry in `classes` and `splits` for each key of `pictures`.

    Raises:
        Ambiguous: If the folders can be understood in more than one way.
    """
    layout = Layout(dict.fromkeys(pictures, ""), dict.fromkeys(pictures, ""))
    if level:
        _read_level(pictures, level, layout)
    else:
        root = _tree(pictures)
        reader = _Reader(layout, decided)
        reader.read([(root, "")], 1)
        if not any(layout.classes.values()):
            reader.read_single(root)
    return layout


def split_of(name: str) -> str:
    """The split that a folder's name stands for, empty if for none: `train`, `test_images`, `val2017`, `seg_test`."""
    return _split_of(name)


def is_beside(folder: str) -> bool:
    """Whether a folder lies in one for what lies beside pictures: annotations, masks, meta data."""
    return any(_joined(part) in _BESIDE for part in folder.split("/"))


def is_session(name: str) -> bool:
    """Whether a folder's name tells when or by what pictures were taken: a date, a weekday, `batch_2`."""
    return _SESSION.fullmatch(name.strip()) is not None


@lru_cache(maxsize=65536)
def _split_of(name: str) -> str:
    words = [word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", name))]
    words = [word.removesuffix("set") if word.removesuffix("set") in SPLIT_NAMES else word for word in words]
    telling = [word for word in words if word not in _FILLERS and not word.isdecimal()]
    return SPLIT_NAMES.get(telling[0], "") if len(telling) == 1 else ""


def _joined(name: str) -> str:
    return "".join(word.lower() for word in _WORDS.findall(name) if not word.isdecimal())


def _is_exact(name: str) -> bool:
    return name.lower() in SPLIT_NAMES


@lru_cache(maxsize=65536)
def _tells_no_class(name: str) -> bool:
    return bool(split_of(name)) or _joined(name) in _HOLDERS | _BESIDE | _SAMPLES


def _tree(pictures: Mapping[str, int]) -> _Folder:
    root = _Folder("")
    for path, number in pictures.items():
        folder = root
        names = path.split("/") if path else []
        if len(names) > _DEEPEST:
            continue
        for name in names:
            inside = f"{folder.path}/{name}" if folder.path else name
            folder = folder.below.setdefault(name, _Folder(inside))
        folder.own += number
    _prune(root)
    return root


def _prune(folder: _Folder) -> None:
    for each in folder.below.values():
        _prune(each)
    folder.below = {name: each for name, each in folder.below.items() if each.own or each.below}


def _read_level(pictures: Mapping[str, int], level: int, layout: Layout) -> None:
    for path, number in pictures.items():
        parts = path.split("/") if path else []
        if len(parts) < level:
            if number:
                layout.left_out[path] = f"it lies in fewer than {level} folders, and class_level is {level}"
        elif is_beside("/".join(parts[: level - 1])):
            layout.left_out[path] = "it lies beside the pictures"
        else:
            layout.classes[path] = parts[level - 1]
            around = [*parts[: level - 1], *parts[level : level + 1]]
            layout.splits[path] = next(filter(None, map(split_of, around)), "")
    layout.notes.append(f"folder {level} of each path, counted from the topmost, as class_level says")


def _merged(group: _Group) -> dict[str, _Group]:
    """The folders in those of a group, by name."""
    children: dict[str, _Group] = {}
    for folder, split in group:
        for name, child in folder.below.items():
            children.setdefault(name, []).append((child, split))
    return children


def _total(group: Iterable[tuple[_Folder, str]]) -> int:
    return sum(folder.pictures() for folder, _ in group)


def _counts(children: Mapping[str, _Group]) -> dict[str, int]:
    return {name: _total(group) for name, group in children.items()}


def _own(group: _Group) -> int:
    return sum(folder.own for folder, _ in group)


def _unwrapped(folder: _Folder, split: str, told: Callable[[str], str] = split_of) -> _Group:
    """A folder without those around its content that say nothing: `seg_train/seg_train`, `val/images`."""
    while not folder.own and len(folder.below) == 1:
        (name,) = folder.below
        if not (_tells_no_class(name) or name == folder.path.rpartition("/")[2]):
            break
        folder = folder.below[name]
        split = split or told(name)
    return [(folder, split)]


class _Reader:
    """Reads a tree of folders into a layout."""

    def __init__(self, layout: Layout, decided: bool) -> None:
        self._layout = layout
        self._decided = decided

    def read(self, group: _Group, level: int) -> None:
        """Finds the classes below the folders of a group.

        Args:
            group: The folders.
            level: Of the folders in them, as `--class-level` counts them.
        """
        children = _merged(group)
        if not children:
            return
        if len(children) == 1:
            (child,) = children.values()
            self.read(child, level + 1)
            return
        children = self._without_copies(children)
        plain = {name: child for name, child in children.items() if not _tells_no_class(name)}
        if not plain:
            self._look_through(children, level)
            return
        parts = [name for name, child in children.items() if split_of(name) and self._bears_classes(child)]
        trains = [name.lower() for name in parts] == ["train"] and len(plain) > 1
        trains = trains and all(self._bears_classes(child) for child in plain.values())
        if parts and not trains and not self._is_named_like_split(parts, plain, children, level):
            self._read_splits(children, parts, level)
        else:
            self._choose(children, plain, level)

    def _known(self, folder: _Folder) -> Iterator[_Folder]:
        return (each for each in folder.all() if each.path in self._layout.classes)

    def _without_copies(self, children: dict[str, _Group]) -> dict[str, _Group]:
        """The folders, with the content of one that holds folders of the same names put into these."""
        plain = {name: child for name, child in children.items() if not _tells_no_class(name)}
        within = {name: _merged(child) for name, child in plain.items() if not _own(child)}
        copies = [name for name, names in within.items() if names and names.keys() <= plain.keys() - {name}]
        if not copies or len(plain) - len(copies) < 2:
            return children
        kept = {name: child for name, child in children.items() if name not in copies}
        for copy in copies:
            for name, group in within[copy].items():
                kept[name] = [*kept.get(name, []), *group]
            self._layout.notes.append(f"{copy} holds the same class folders as lie beside it, and is read with them")
        return kept

    def read_single(self, root: _Folder) -> None:
        """Makes all pictures one class, where they lie in one folder, or in folders within one another."""
        folder, names = root, []
        while len(folder.below) == 1 and (folder is root or not folder.own):
            ((name, folder),) = folder.below.items()
            names.append(name)
        telling = [name for name in names if not _tells_no_class(name)]
        telling = [name for name in telling if not (is_session(name) or _NUMBERED.fullmatch(name))] or telling
        if telling and folder.own:
            self._give(telling[-1], [(folder, "")])

    def _give(self, name: str, group: _Group) -> None:
        """Makes all pictures below the folders of a group one class."""
        for top, split in group:
            for folder in self._known(top):
                self._layout.classes[folder.path] = name
                self._layout.splits[folder.path] = split

    def _leave_out(self, name: str, group: _Group, why: str) -> None:
        for top, _ in group:
            for folder in self._known(top):
                self._layout.left_out[folder.path] = why
        self._layout.notes.append(f"left out: {name} ({_total(group):,} files), {why}")

    def _bears_classes(self, group: _Group) -> bool:
        """Whether there are folders below that could be classes, not only holders and splits."""
        names = _merged([each for folder, split in group for each in _unwrapped(folder, split)])
        return any(not _tells_no_class(name) for name in names)

    def _look_through(self, children: Mapping[str, _Group], level: int) -> None:
        """Reads folders of which no name stands for a class: splits, holders, annotations."""
        kept = {name: child for name, child in children.items() if split_of(name) or _joined(name) in _HOLDERS}
        if not kept:
            return
        for name in children.keys() - kept.keys():
            beside = "it lies beside the pictures" if _joined(name) in _BESIDE else "it is named as a sample"
            self._leave_out(name, children[name], beside)
        self._read_splits(kept, list(kept), level)

    def _read_splits(self, children: Mapping[str, _Group], parts: list[str], level: int) -> None:
        """Reads the classes below splits, which lie beside one another."""
        within: dict[str, _Group] = {
            name: [each for folder, split in children[name] for each in _unwrapped(folder, split or split_of(name))]
            for name in parts
        }
        bearing = {name: group for name, group in within.items() if _merged(group)}
        if not bearing:
            return
        known = self._without_foreign(bearing, children, level)
        foreign, bearing = bearing.keys() - known.keys(), known
        classes = {name for group in bearing.values() for name in _merged(group)}
        merged: _Group = [each for group in bearing.values() for each in group]
        strangers: dict[str, _Group] = {}
        own = _Folder("")
        for name in sorted(children.keys() - bearing.keys() - foreign):
            child = children[name]
            inside = [each for folder, split in child for each in _unwrapped(folder, split)]
            names = set(_merged(inside))
            if all(map(split_of, names)):
                names = {each for group in _merged(inside).values() for each in _merged(group)}
            if name in classes:
                merged += [(dataclasses.replace(own, below={name: folder}), split) for folder, split in child]
            elif names & classes:
                merged += inside
            elif split_of(name) or name in parts:
                self._leave_out(name, child, "it has no class folders, and those beside it have")
            elif _tells_no_class(name):
                beside = "it lies beside the pictures" if _joined(name) in _BESIDE else "it is named as a sample"
                self._leave_out(name, child, beside)
            else:
                strangers[name] = child
        if strangers and not self._decided:
            raise Ambiguous(
                f"{_listed(parts)} hold{'s' if len(parts) == 1 else ''} class folders, and {_listed(strangers)} "
                f"beside {'it' if len(parts) == 1 else 'them'} is none of these classes",
                [
                    Reading(f"--class-level {level}", _counts(children)),
                    Reading("--labels folders", _counts(_merged(merged))),
                ],
            )
        for name, child in strangers.items():
            self._leave_out(name, child, "it is none of the class folders of the splits beside it")
        loose = [(folder, split) for folder, split in merged if folder.own]
        for folder, _ in loose:
            if not folder.below:
                self._layout.left_out[folder.path] = "it lies in no class folder, and others do"
        depths = {folder.path.count("/") + 1 for folder, _ in merged if folder.path}
        self.read(merged, min(depths, default=level) + 1)

    def _without_foreign(
        self, bearing: dict[str, _Group], children: Mapping[str, _Group], level: int
    ) -> dict[str, _Group]:
        """Leaves out validation and test folders whose own folders are no classes: `test/unknown`."""
        names = {name: set(_merged(group)) for name, group in bearing.items()}
        kept = dict(bearing)
        for name in bearing:
            others = set().union(*(names[other] for other in names if other != name))
            if split_of(name) in ("validation", "test") and len(others) > 1 and not names[name] & others:
                if len(names[name]) > 1 and not self._decided:
                    all_of = _merged([each for group in bearing.values() for each in group])
                    raise Ambiguous(
                        f"{name} holds folders that those beside it lack",
                        [
                            Reading(f"--class-level {level + 1}", _counts(all_of)),
                            Reading("--labels folders", {each: _total(all_of[each]) for each in others}),
                        ],
                    )
                self._leave_out(name, children[name], "its folders are none of the classes of those beside it")
                del kept[name]
        return kept

    def _is_named_like_split(
        self, parts: list[str], plain: Mapping[str, _Group], children: Mapping[str, _Group], level: int
    ) -> bool:
        """Whether a single folder named like a split is a class: it holds what the folders beside it hold."""
        if len(parts) > 1 or len(children) > len(plain) + 1:
            return False
        names = {name: set(_merged(children[name])) for name in children}
        within = names[parts[0]]
        crossed = [name for name in plain if names[name] & within and not all(map(split_of, names[name]))]
        if not crossed:
            return False
        if all(is_session(name) or _NUMBERED.fullmatch(name) for each in names.values() for name in each):
            return True
        if self._decided:
            return False
        below = _merged([each for child in children.values() for each in child])
        raise Ambiguous(
            f"{parts[0]} is named like a split and holds the same folders as {_listed(crossed)}",
            [
                Reading(f"--class-level {level}", _counts(children)),
                Reading(f"--class-level {level + 1}", _counts(below)),
            ],
        )

    def _choose(self, children: Mapping[str, _Group], plain: Mapping[str, _Group], level: int) -> None:
        """Takes folders for classes that lie beside one another, or asks."""
        classes = dict(plain)
        like_splits = [name for name in children if _is_exact(name)]
        doubtful: list[str] = []
        for name in children.keys() - plain.keys():
            if _is_exact(name):
                shows_trains = [each.lower() for each in like_splits] == ["train"]
                if (len(plain) == len(like_splits) == 1) or shows_trains or SPLIT_NAMES[name.lower()] == "validation":
                    classes[name] = children[name]
                elif all(_total(children[each]) < _FEW for each in like_splits):
                    self._leave_out(name, children[name], "it is named like a split, and has too few for a class")
                else:
                    doubtful.append(name)
            elif split_of(name):
                self._leave_out(name, children[name], "it is named like a split, and has no class folders")
            else:
                doubtful.append(name)
        if doubtful:
            if not self._decided or len(classes) < 2:
                without = [Reading("--labels folders", _counts(classes))] if len(classes) > 1 else []
                below = _counts(_merged([each for child in children.values() for each in child]))
                if len(below) > 1:
                    without.append(Reading(f"--class-level {level + 1}", below))
                whose = "its" if len(doubtful) == 1 else "their"
                raise Ambiguous(
                    f"{_listed(sorted(doubtful))} may be no class, by {whose} name",
                    [Reading(f"--class-level {level}", _counts(children)), *without],
                )
            for name in sorted(doubtful):
                self._leave_out(name, children[name], "by its name it is no class")
        named = [name for name in classes if _is_exact(name)]
        if named:
            self._layout.notes.append(
                f"taken for a class, not for a split, as it lies beside others: {_listed(sorted(named))}"
            )
        self._divide(classes, level)

    def _divide(self, classes: dict[str, _Group], level: int) -> None:
        """Takes folders for the classes if none below them could be meant; otherwise asks."""
        classes = {
            name: [(self._without_beside(folder), split) for folder, split in group]
            for name, group in classes.items()
        }
        inside = {
            name: [each for folder, split in group for each in _looked_through(folder, split)]
            for name, group in classes.items()
        }
        below = {name: _merged(group) for name, group in inside.items()}
        names = Counter(name for each in below.values() for name in each)
        while len(names) == 1 and all(below.values()) and not any(map(split_of, names)):
            # A folder of one name in each class divides nothing; those in it might.
            inside = {name: [each for group in parts.values() for each in group] for name, parts in below.items()}
            below = {name: _merged(group) for name, group in inside.items()}
            names = Counter(name for each in below.values() for name in each)
        if names and all(map(split_of, names)):
            self._read_swapped(classes, below, level)
            return
        covered = all(below.values()) and not any(_own(group) for group in inside.values())
        sessions = all(map(is_session, classes))
        shared = max(names.values(), default=0) > 1
        deeper = _merged([each for group in inside.values() for each in group])
        depth = max(
            (folder.path.count("/") + 2 for group in inside.values() for folder, _ in group), default=level + 1
        )
        if not covered or len(names) < 2:
            if sessions and not self._decided:
                raise Ambiguous(
                    "the folders are named as sessions, not as classes",
                    [Reading(f"--class-level {level}", _counts(classes))],
                )
        elif all(map(_is_variant, classes)) and shared:
            raise Ambiguous(
                f"{_listed(classes)} hold variants of the same classes: pass one of these folders as data, or",
                [
                    Reading(f"--class-level {level}", _counts(classes)),
                    Reading(f"--class-level {depth}", _counts(deeper)),
                ],
            )
        elif sessions and (found := self._below_sessions([each for group in inside.values() for each in group])):
            self._layout.notes.append(f"{_listed(classes)} are named as sessions, and hold the same folders")
            self.read(found, depth + max(found[0][0].path.count("/") + 2 - depth, 0))
            return
        elif not self._are_sessions(names, below) and not (
            not sessions and all(len(each) == 1 for each in below.values())
        ):
            raise Ambiguous(
                "folders on more than one level could be the classes",
                [
                    Reading(f"--class-level {level}", _counts(classes)),
                    Reading(f"--class-level {depth}", _counts(deeper)),
                ],
            )
        elif sessions:
            raise Ambiguous(
                "the folders are named as sessions, not as classes",
                [
                    Reading(f"--class-level {level}", _counts(classes)),
                    Reading(f"--class-level {depth}", _counts(deeper)),
                ],
            )
        if names:
            self._layout.notes.append(
                f"folders below are no classes: {_listed(sorted(names))}; the topmost that divide the files are"
            )
        for name, group in classes.items():
            self._give(name, group)

    def _below_sessions(self, group: _Group) -> _Group:
        """The folders that hold the same folders, sessions within sessions looked through; empty if not so."""
        while children := _merged(group):
            if not all(is_session(name) or _NUMBERED.fullmatch(name) for name in children):
                return group if max(map(len, children.values())) > 1 else []
            group = [each for child in children.values() for each in child]
        return []

    def _without_beside(self, folder: _Folder) -> _Folder:
        """A class folder without what lies beside its pictures: masks, annotations."""
        beside = [name for name in folder.below if _joined(name) in _BESIDE]
        if not beside or not (folder.own or len(folder.below) > len(beside)):
            return folder
        for name in beside:
            self._leave_out(f"{folder.path}/{name}", [(folder.below[name], "")], "it lies beside the pictures")
        return dataclasses.replace(
            folder, below={name: each for name, each in folder.below.items() if name not in beside}
        )

    def _are_sessions(self, names: Iterable[str], below: Mapping[str, Mapping[str, _Group]]) -> bool:
        """Whether folders below classes tell only when, or of whom, a picture is."""
        if all(map(is_session, names)):
            return True
        same = len({frozenset(each) for each in below.values()}) == 1
        return not same and all(is_session(name) or _NUMBERED.fullmatch(name) for name in names)

    def _read_swapped(
        self, classes: dict[str, _Group], below: Mapping[str, Mapping[str, _Group]], level: int
    ) -> None:
        """Takes folders for classes in each of which there are its splits."""
        deeper = {
            name: _merged([each for group in parts.values() for each in group]) for name, parts in below.items()
        }
        names = Counter(name for each in deeper.values() for name in each)
        if len(names) > 1 and max(names.values()) > 1 and not self._are_sessions(names, deeper):
            raise Ambiguous(
                "folders on more than one level could be the classes",
                [
                    Reading(f"--class-level {level}", _counts(classes)),
                    Reading(
                        f"--class-level {level + 2}",
                        _counts(
                            _merged([each for parts in below.values() for group in parts.values() for each in group])
                        ),
                    ),
                ],
            )
        for name, group in classes.items():
            self._give(name, group)
            for part, folders in below[name].items():
                self._give(name, [(folder, split or split_of(part)) for folder, split in folders])
        self._layout.notes.append("each class folder holds its splits")


def _looked_through(folder: _Folder, split: str) -> _Group:
    """A class folder's content, without a holder around it: `n01443537/images`."""
    while not folder.own and len(folder.below) == 1 and _joined(next(iter(folder.below))) in _HOLDERS:
        (folder,) = folder.below.values()
    return [(folder, split)]


def _is_variant(name: str) -> bool:
    return _joined(name) in _VARIANTS


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
