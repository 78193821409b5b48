"""Networks of KerasHub in layers of Keras alone: KerasHub's own layers are taken apart, or put in other words.

What was trained from such a network loads and runs without KerasHub, and is inspected, cut and folded like any other.
A module for each kind of network translates the layers that are put in other words.
"""

from typing import Any

import keras

from headstart.components.core.networks.hub_layers import convnets, dinov3, swin, vision_transformers
from headstart.components.core.networks.hub_layers.keras_only import KerasOnly

__all__ = ["copy_to_keras"]


def copy_to_keras(network: keras.Model, inputs: Any) -> Any:
    """Applies a copy of a network of KerasHub in layers of Keras alone, with the same weights and outputs.

    Args:
        network: The network.
        inputs: Its symbolic inputs.

    Returns:
        Its symbolic outputs, in the same structure.
    """
    translations = {
        **vision_transformers.TRANSLATIONS,
        **dinov3.TRANSLATIONS,
        **swin.TRANSLATIONS,
        **convnets.TRANSLATIONS,
    }
    return KerasOnly(network.name, translations).apply(network, inputs)
