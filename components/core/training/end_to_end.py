"""Training end to end: every image passes the whole network in every epoch, augmented anew."""

import keras

from headstart.components.core.networks.classifier import ClassifierParts
from headstart.components.core.networks.image_batches import build_augmentation
from headstart.components.core.recipes.plan import Plan


def end_to_end(parts: ClassifierParts, plan: Plan) -> ClassifierParts:
    """Cuts a classifier at its pixels, so that what is recorded are the resized images themselves.

    Args:
        parts: The classifier, cut anywhere; what is trainable in it stays so.
        plan: Its augmentation and seed.

    Returns:
        A front that changes nothing, and a tail of augmentation, in the graph, and the whole network.
    """
    pixels = keras.Input((parts.size, parts.size, 3))
    augmented = build_augmentation(plan.augmentation, plan.seed)(pixels)
    whole = keras.Model(pixels, parts.tail(parts.front(augmented)))
    untouched = keras.Input((parts.size, parts.size, 3))
    return ClassifierParts(keras.Model(untouched, untouched), whole, parts.size)
