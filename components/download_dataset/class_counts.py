"""How many pictures each class has, in a line for people."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from headstart.components.core.util.natural_sort import natural_key

_ALL = 12
_FIRST = 5
_BETWEEN = re.compile(r"[|;,]")


def classes_in_words(counts: Mapping[str, int]) -> str:
    """Names the classes with their counts: all of them, or of many the first, the smallest and the largest.

    Args:
        counts: Pictures of each class.

    Example:
        >>> classes_in_words({"dog": 1200, "cat": 3})
        '2 classes: cat (3), dog (1,200)'
    """
    ordered = sorted(counts.items(), key=lambda each: natural_key(each[0]))
    shown = ordered if len(ordered) <= _ALL else ordered[:_FIRST]
    words = f"{len(ordered)} class{'es' if len(ordered) != 1 else ''}: " + ", ".join(map(_counted, shown))
    if len(shown) < len(ordered):
        smallest, largest = (choose(ordered, key=lambda each: each[1]) for choose in (min, max))
        words += f", … {len(ordered) - len(shown)} more; smallest {_counted(smallest)}, largest {_counted(largest)}"
    return words


def _counted(counted: tuple[str, int]) -> str:
    name, count = counted
    return f"{name} ({count:,})"


def classes_alike(classes: Iterable[str]) -> list[list[str]]:
    """Groups of class names that differ in case, blanks, invisible letters or Unicode form only.

    Example:
        >>> classes_alike(["cat", "Cat ", "dog"])
        [['Cat ', 'cat']]
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(classes):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        seen = "".join(each for each in text if not each.isspace() and unicodedata.category(each) not in ("Cf", "Cc"))
        groups.setdefault(seen, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def alike_in_words(alike: Iterable[str]) -> str:
    """Names classes of one group of `classes_alike` so that what differs can be seen."""
    return f"classes that differ in case, blanks or Unicode form only: {', '.join(map(_seen, alike))}"


def several_at_once(classes: Iterable[str]) -> list[str]:
    """A sentence where classes look like lists of other classes, as in tables of pictures with several labels."""
    names = set(classes)
    lists = [name for name in sorted(names) if _parts(name) & names]
    if not lists:
        return []
    shown = ", ".join(map(_seen, lists[:_FIRST]))
    more = f" and {len(lists) - _FIRST} more" if len(lists) > _FIRST else ""
    return [
        f"classes that may be lists of classes: {shown}{more}; each is taken for one, as one class for each picture "
        "is what can be learned"
    ]


def _parts(name: str) -> set[str]:
    """What a name would hold if it were a list; nothing where it is one word."""
    parts = {part.strip() for part in _BETWEEN.split(name)}
    return parts if len(parts) > 1 else set()


def _seen(name: str) -> str:
    usual = unicodedata.normalize("NFKC", name) == name and all(each == " " or each.isprintable() for each in name)
    return repr(name) if usual else ascii(name)
