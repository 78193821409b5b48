"""Common prefix of classifiers, such as a head-trained and a fine-tuned one: lower layers they share run once."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from headstart.components.core.networks.classifier import BACKBONE_END, ClassifierParts, cut_classifier
from headstart.components.core.networks.identity import model_digest


@dataclasses.dataclass(frozen=True)
class CommonPrefix:
    """Classifiers whose lower layers are the same.

    Attributes:
        members: Indices of the classifiers in the sequence they come from.
        front: Resized pixels (n, size, size, 3), 0-255, to the last activations that they have in common.
        tails: Models from these activations to each classifier's output, in the order of `members`.
    """

    members: list[int]
    front: keras.Model
    tails: list[keras.Model]


def group_by_common_prefix(models: Sequence[keras.Model]) -> list[CommonPrefix]:
    """Groups classifiers by their common prefix; one that shares no layers with another is a group by itself.

    Args:
        models: Classifiers from `build_classifier`, or loaded.
    """
    groups: list[tuple[list[int], list[ClassifierParts]]] = []
    for at, model in enumerate(models):
        for place, (members, _) in enumerate(groups):
            if parts := _cut_at_first_difference([*(models[member] for member in members), model]):
                groups[place] = ([*members, at], parts)
                break
        else:
            groups.append(([at], [cut_classifier(model, _backbone(model).name, BACKBONE_END)]))
    return [CommonPrefix(members, parts[0].front, [each.tail for each in parts]) for members, parts in groups]


def _cut_at_first_difference(models: list[keras.Model]) -> list[ClassifierParts] | None:
    """Cuts classifiers below the first layer in which they differ; None if that is the first with weights."""
    bases = [_backbone(model) for model in models]
    side_by_side = zip(*(base.operations for base in bases), strict=False)
    with_weights = [each for each in side_by_side if any(getattr(one, "weights", []) for one in each)]
    first_difference = next((each for each in with_weights if _differ(each)), None)
    if first_difference is with_weights[0]:
        return None
    parts = [
        cut_classifier(model, base.name, first_difference[at].name if first_difference else BACKBONE_END)
        for at, (model, base) in enumerate(zip(models, bases, strict=True))
    ]
    return parts if len({model_digest(each.front) for each in parts}) == 1 else None


def _differ(operations: tuple[keras.Operation, ...]) -> bool:
    first, *others = ([weight.numpy() for weight in getattr(each, "weights", [])] for each in operations)
    return any(
        len(first) != len(other) or not all(np.array_equal(*pair) for pair in zip(first, other, strict=True))
        for other in others
    )


def _backbone(model: keras.Model) -> keras.Model:
    return next(operation for operation in model.operations if isinstance(operation, keras.Model))
