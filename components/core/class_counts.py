"""How many pictures each class has, in a line for people."""

from collections.abc import Mapping

_ALL = 12
_FIRST = 5


def classes_in_words(counts: Mapping[str, int]) -> str:
    """Names the classes with their counts: all of them, or of many the first, the smallest and the largest.

    Args:
        counts: Pictures of each class.

    Example:
        >>> classes_in_words({"dog": 1200, "cat": 3})
        '2 classes: cat (3), dog (1,200)'
    """
    ordered = sorted(counts.items())
    shown = ordered if len(ordered) <= _ALL else ordered[:_FIRST]
    words = f"{len(ordered)} class{'es' if len(ordered) != 1 else ''}: " + ", ".join(map(_counted, shown))
    if len(shown) < len(ordered):
        smallest, largest = (choose(ordered, key=lambda each: each[1]) for choose in (min, max))
        words += f", … {len(ordered) - len(shown)} more; smallest {_counted(smallest)}, largest {_counted(largest)}"
    return words


def _counted(counted: tuple[str, int]) -> str:
    name, count = counted
    return f"{name} ({count:,})"
