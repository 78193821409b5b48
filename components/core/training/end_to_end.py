"""End-to-end training: every image passes the whole network in every epoch, augmented anew."""

import keras

from headstart.components.core.networks.classifier import ClassifierParts
from headstart.components.core.networks.image_batches import build_augmentation
from headstart.components.core.recipes.plan import Plan


def cut_at_pixels(parts: ClassifierParts, plan: Plan) -> ClassifierParts:
    """Cuts a classifier at its pixels, so that its cached features are the resized images themselves.

    Args:
        parts: Classifier, cut anywhere; what is trainable in it stays trainable.
        plan: Augmentation and seed.

    Returns:
        An empty front, and a tail of augmentation and the whole network.
    """
    pixels = keras.Input((parts.size, parts.size, 3))
    augmented = build_augmentation(plan.augmentation, plan.seed)(pixels)
    whole = keras.Model(pixels, parts.tail(parts.front(augmented)))
    untouched = keras.Input((parts.size, parts.size, 3))
    return ClassifierParts(keras.Model(untouched, untouched), whole, parts.size)
