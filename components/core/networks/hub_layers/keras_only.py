"""Copies of networks of KerasHub, in which its own layers are taken apart, or translated."""

import collections
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from headstart.components.core.networks.graph_copy import GraphCopy

_UNNAMED = {
    "ConvNormAct": "conv",
    "EdgeResidual": "block",
    "MobileAttention": "block",
    "UniversalInvertedResidual": "block",
}
"""What layers of KerasHub are called that it gives no name."""

_LOWEST = -1e30
"""Stands for minus infinity in padding, which JSON does not have."""

Translations = Mapping[str, Callable[..., Any]]
"""Functions by the name of a layer's class in KerasHub: from the copy, the layer and its inputs to its outputs."""


class KerasOnly(GraphCopy):
    """Copies a network of KerasHub into a graph of Keras' own layers, with the same weights and outputs.

    A layer of KerasHub is called on symbolic tensors, which shows the layers of Keras and the operations in it; these
    are copied in its place. Those that hold weights of their own, or whose call depends on the size of a batch, have
    a translation. The layers of a block have its name in front of theirs.

    Args:
        network: Name of the network, which KerasHub puts in front of the names of some of its layers.
        translations: Translations of layers.
    """

    def __init__(self, network: str, translations: Translations) -> None:
        super().__init__()
        self._translations = translations
        self._prefix = f"{network}_"
        self._within: list[str] = []
        self._left_to_keras = False
        self._counts: collections.Counter[tuple[str, ...]] = collections.Counter()

    def call(self, operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        """Applies a copy, the parts of a layer of KerasHub, or its translation."""
        kind = type(operation)
        if isinstance(operation, keras.layers.Identity):
            return inputs[0]
        if options.get("constant_values") == -np.inf:
            options = options | {"constant_values": _LOWEST}
        if isinstance(operation, keras.Model) or not kind.__module__.startswith("keras_hub."):
            return super().call(operation, *inputs, **options)
        self._within.append(self._name_block(operation))
        try:
            translate = self._translations.get(kind.__name__)
            # Some layers of KerasHub do not take the mode that others pass on.
            options.pop("training", None)
            if translate:
                return translate(self, operation, *inputs, **options)
            arguments = keras.tree.map_structure(_symbol, inputs)
            inside = keras.Model(keras.tree.flatten(arguments), operation.call(*arguments, **options))
            return self.apply(inside, *keras.tree.flatten(inputs))
        finally:
            self._within.pop()

    def _name_block(self, operation: keras.Operation) -> str:
        """Name of a layer of KerasHub; what it leaves to Keras, which counts through a process, is counted here."""
        kind = type(operation)
        self._left_to_keras |= ".mobilenetv5." in kind.__module__
        own = re.sub("(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        if kind.__name__ in _UNNAMED and re.fullmatch(rf"{own}(_\d+)?", operation.name):
            word = _UNNAMED[kind.__name__]
            self._counts[*self._within, word] += 1
            count = self._counts[*self._within, word]
            # Convolutions get a letter: numbers are those of blocks.
            return f"block_{count}" if word == "block" else f"{word}_{chr(ord('a') + count - 1)}"
        return self._without_count(operation.name)

    def _without_count(self, name: str) -> str:
        return re.sub(r"_\d+$", "", name) if self._left_to_keras else name

    def name(self, wanted: str) -> str:
        """A name with that of the block in front."""
        if self._within:
            wanted = self._without_count(wanted)
        for outer in reversed(self._within):
            if not wanted.startswith(outer):
                wanted = f"{outer.rstrip('_')}_{wanted}"
        return super().name(wanted.removeprefix(self._prefix))

    def new(self, layer: type[keras.Layer], *arguments: Any, name: str, **settings: Any) -> keras.Layer:
        """A new layer within the present block."""
        return layer(*arguments, name=self.name(name), **settings)


def _symbol(tensor: Any) -> Any:
    if isinstance(tensor, keras.KerasTensor):
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
    return tensor
