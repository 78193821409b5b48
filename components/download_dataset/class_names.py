"""Class names in messages and on the page: with counts, names that look alike, and names that look like lists."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from headstart.components.core.util.natural_sort import natural_key
from headstart.components.core.util.printable import list_first

_MAX_LISTED = 12
_FIRST_LISTED = 5
_LIST_SEPARATOR = re.compile(r"[|;,]")


def describe_classes(counts: Mapping[str, int]) -> str:
    """Lists the classes with their counts: all of them, or of many the first, the smallest and the largest.

    Args:
        counts: Number of images of each class.

    Example:
        >>> describe_classes({"dog": 1200, "cat": 3})
        '2 classes: cat (3), dog (1,200)'
    """
    ordered = sorted(counts.items(), key=lambda each: natural_key(each[0]))
    listed = ordered if len(ordered) <= _MAX_LISTED else ordered[:_FIRST_LISTED]
    words = f"{len(ordered)} class{'es' if len(ordered) != 1 else ''}: " + ", ".join(map(_with_count, listed))
    if len(listed) < len(ordered):
        smallest, largest = (choose(ordered, key=lambda each: each[1]) for choose in (min, max))
        words += f", … {len(ordered) - len(listed)} more"
        words += f"; smallest {_with_count(smallest)}, largest {_with_count(largest)}"
    return words


def _with_count(item: tuple[str, int]) -> str:
    name, count = item
    return f"{name} ({count:,})"


def find_similar_names(classes: Iterable[str]) -> list[list[str]]:
    """Groups of class names that differ only in case, blanks, invisible characters or Unicode form.

    Args:
        classes: Class names.

    Example:
        >>> find_similar_names(["cat", "Cat ", "dog"])
        [['Cat ', 'cat']]
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(classes):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        seen = "".join(each for each in text if not each.isspace() and unicodedata.category(each) not in ("Cf", "Cc"))
        groups.setdefault(seen, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def describe_similar_names(names: Iterable[str]) -> str:
    """Lists the names of a group of `find_similar_names` so that their difference is visible.

    Args:
        names: Class names of one group.
    """
    return f"classes that differ in case, blanks or Unicode form only: {', '.join(map(_show_difference, names))}"


def note_multi_label_names(classes: Iterable[str]) -> list[str]:
    """A remark where class names look like lists of other classes, as in tables of images with several labels.

    Args:
        classes: Class names.

    Returns:
        One sentence; empty: no name looks so.
    """
    names = set(classes)
    lists = [name for name in sorted(names) if _parts(name) & names]
    if not lists:
        return []
    shown = list_first([_show_difference(name) for name in lists], _FIRST_LISTED)
    return [
        f"classes that may be lists of classes: {shown}; each is taken for one class, as several classes per "
        "image are not supported"
    ]


def _parts(name: str) -> set[str]:
    """The parts of a name that may be a list; empty: it is one word."""
    parts = {part.strip() for part in _LIST_SEPARATOR.split(name)}
    return parts if len(parts) > 1 else set()


def _show_difference(name: str) -> str:
    usual = unicodedata.normalize("NFKC", name) == name and all(each == " " or each.isprintable() for each in name)
    return repr(name) if usual else ascii(name)
