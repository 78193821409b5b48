"""LoRA: low-rank updates of attention projections, which are trained in place of the weights and merged into them.

Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685. As in its
experiments, the projections of queries and values are adapted, and everything else of the backbone stays frozen. The
layers are Keras' own, by `enable_lora`: a kernel (width, heads, size) gets an update of a factor for each head,
(width, heads, rank), times one that the heads share, (rank, size). The second factor begins at 0, so that training
begins at the pretrained network; the scale is 1.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from headstart.components.core.networks.classifier import QUERY, VALUE, get_layers_from
from headstart.components.core.networks.graph_copy import GraphCopy
from headstart.components.core.networks.image_batches import AUGMENTATION
from headstart.components.core.recipes.recipe import LORA_WAY_OUT
from headstart.components.core.util.errors import HeadstartError


def raise_if_without_attention(base: keras.Model, point: str) -> None:
    """Refuses LoRA for a backbone that has no attention from a cut point on.

    Args:
        base: The backbone.
        point: First layer that is trained, see `cut_classifier`.

    Raises:
        HeadstartError: If no layer from there on is a `keras.layers.MultiHeadAttention`, or a projection of an
            attention that is put together from layers.
    """
    if not _find_attention(base, point):
        raise HeadstartError(
            f"fine_tuning.method lora: backbone {base.name} has no MultiHeadAttention of Keras from {point!r} on; "
            f"set fine_tuning.unfreeze_from to an earlier block, or {LORA_WAY_OUT}"
        )


def freeze_all_but_projections(base: keras.Model, point: str) -> None:
    """Leaves only the kernels of queries and values trainable in a backbone.

    Args:
        base: A backbone that is trainable from `point` on.
        point: First trainable layer.

    Raises:
        HeadstartError: If no layer from there on is a `keras.layers.MultiHeadAttention`, or a projection of an
            attention that is put together from layers.
    """
    raise_if_without_attention(base, point)
    kernels = {id(one.kernel) for each in _find_attention(base, point) for one in _get_projections(each)}
    for weight in base.trainable_weights:
        weight.trainable = id(weight) in kernels


@dataclasses.dataclass(frozen=True)
class LowRankCopy:
    """A model that trains low-rank updates where another has trainable kernels of queries and values.

    Layers with such kernels are copies, and all other layers are shared: those of the head are trained as they are.

    Attributes:
        model: The model with updates; its outputs are those of the other until it is trained.
        pairs: Layers of the other model with such kernels, each with its copy.
    """

    model: keras.Model
    pairs: Sequence[tuple[keras.Layer, keras.Layer]]

    @classmethod
    def of(cls, original: keras.Model, rank: int) -> "LowRankCopy":
        """Copies a model to a classifier's output, after `freeze_all_but_projections` of its backbone.

        Args:
            original: The model.
            rank: Rank of the updates, at least 1.
        """
        pixels = keras.Input(original.input.shape[1:], dtype=original.input.dtype)
        graph = _WithUpdates(rank)
        return cls(keras.Model(pixels, graph.apply(original, pixels)), graph.pairs)

    def merge(self) -> None:
        """Adds the updates to the weights of the model that was copied."""
        for original, copied in self.pairs:
            for projection, updated in zip(_get_projections(original), _get_projections(copied), strict=True):
                projection.kernel.assign(updated.kernel)


class _WithUpdates(GraphCopy):
    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank
        self.pairs: list[tuple[keras.Layer, keras.Layer]] = []

    def call(self, operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        if isinstance(operation, keras.Model) and operation.name != AUGMENTATION:
            return self.apply(operation, *inputs)
        if not (_is_attention(operation) and operation.trainable_weights):
            return operation(*inputs, **options)
        outputs = super().call(operation, *inputs, **options)
        copied = keras.tree.flatten(outputs)[0]._keras_history.operation
        for weight in copied.weights:
            weight.trainable = False
        for projection in _get_projections(copied):
            projection.enable_lora(self._rank)
        self.pairs.append((operation, copied))
        return outputs


def _find_attention(base: keras.Model, point: str) -> list[keras.Layer]:
    return [each for each in get_layers_from(base, point) if _is_attention(each)]


def _is_attention(operation: keras.Operation) -> bool:
    """Whether it is an attention, or the projection to queries or values of one that is put together from layers."""
    spelled_out = isinstance(operation, keras.layers.EinsumDense) and operation.name.endswith((QUERY, VALUE))
    return spelled_out or isinstance(operation, keras.layers.MultiHeadAttention)


def _get_projections(attention: Any) -> tuple[keras.layers.EinsumDense, ...]:
    if isinstance(attention, keras.layers.EinsumDense):
        return (attention,)
    return attention.query_dense, attention.value_dense
