"""Copying of the graph of a network, layer by layer and with the weights, into a graph without nested networks."""

from typing import Any

import keras


class GraphCopy:
    """Copies the layers of a network, with their weights, into a graph without nested networks.

    A layer that is used twice becomes two. A subclass may put something else in the place of a layer.
    """

    def __init__(self) -> None:
        self._names: dict[str, int] = {}

    def apply(self, network: keras.Model, *inputs: Any) -> Any:
        """Applies copies of a network's layers to its inputs, and returns its output."""
        # A sequential model holds a functional one.
        graph = getattr(network, "_functional", None) or network
        return graph._run_through_graph(inputs, call_fn=self.call)

    def call(self, operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        """Applies a copy of one operation, or of all layers of a nested network."""
        if isinstance(operation, keras.Model):
            return self.apply(operation, *inputs)
        copied = type(operation).from_config(operation.get_config() | {"name": self.name(operation.name)})
        outputs = copied(*inputs, **options)
        if isinstance(operation, keras.Layer):
            copied.set_weights(operation.get_weights())
        return outputs

    def name(self, wanted: str) -> str:
        """A name that no copy has yet: the wanted one, if possible."""
        times = self._names[wanted] = self._names.get(wanted, 0) + 1
        return wanted if times == 1 else f"{wanted}_copy{times}"
