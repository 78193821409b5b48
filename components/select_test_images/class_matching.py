"""Matching of the data's class names with those that a model knows."""

import unicodedata
from collections.abc import Mapping, Sequence

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.printable import list_first, quote_name

_NAMED = 5
"""Classes that a message names; the others are counted."""


def match_classes(counts: Mapping[str, int], known: Sequence[str], leave_out: bool = False) -> dict[int, int]:
    """Finds the model's class of each class of the data, by its exact name.

    Args:
        counts: Number of images of each class of the data, in label order.
        known: Class names of the model, in the order of its probabilities.
        leave_out: Whether classes that the model does not know are left out.

    Returns:
        Index into `known` of each label of the data; labels of unknown classes are not in it.

    Raises:
        HeadstartError: If a class is unknown and not to be left out, or differs from a known one in nothing but case,
            blanks or punctuation: whether it is meant cannot be told.
    """
    place = {name: at for at, name in enumerate(known)}
    unknown = [name for name in counts if name not in place]
    simple = {_simplify(name): name for name in known}
    for name in unknown:
        if (like := simple.get(_simplify(name))) is not None:
            raise HeadstartError(
                f"the data have the class {quote_name(name)}, the model {quote_name(like)}; are they the same? "
                "rename the folder or label to the model's name, or to one that differs in more than case and "
                "punctuation"
            )
    if unknown and not leave_out:
        strangers = list_first([_counted(name, counts[name]) for name in unknown], _NAMED)
        known_names = list_first([quote_name(name) for name in known], _NAMED)
        raise HeadstartError(
            f"the model does not know {strangers}; it knows {known_names}; rename the classes, or leave "
            "their images out with --unknown-classes leave_out"
        )
    return {label: place[name] for label, name in enumerate(counts) if name in place}


def _simplify(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum()) or folded


def _counted(name: str, images: int) -> str:
    return f"{quote_name(name)} ({images:,} {'image' if images == 1 else 'images'})"
