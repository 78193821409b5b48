"""Networks of KerasHub in layers of Keras alone: KerasHub's own layers are taken apart, or put in other words.

What was trained from such a network loads and runs without KerasHub, and is inspected, cut and folded like any other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.networks.graph_copy import GraphCopy

_LOWEST = -1e30
"""Stands for minus infinity in padding, which JSON does not have."""

Array = NDArray[np.float32]


class KerasOnly(GraphCopy):
    """Copies a network of KerasHub into a graph of Keras' own layers, with the same weights and outputs.

    A layer of KerasHub is called on symbolic tensors, which shows the layers of Keras and the operations in it; these
    are copied in its place. Those that hold weights of their own, or whose call depends on the size of a batch, have
    a translation in `_TRANSLATIONS`. The layers of a block have its name in front of theirs.

    Args:
        network: Name of the network, which KerasHub puts in front of the names of some of its layers.
    """

    def __init__(self, network: str = "") -> None:
        super().__init__()
        self._prefix = f"{network}_"
        self._within: list[str] = []

    def call(self, operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        """Applies a copy, the parts of a layer of KerasHub, or its translation."""
        kind = type(operation)
        if isinstance(operation, keras.layers.Identity):
            return inputs[0]
        if options.get("constant_values") == -np.inf:
            options = options | {"constant_values": _LOWEST}
        if isinstance(operation, keras.Model) or not kind.__module__.startswith("keras_hub."):
            return super().call(operation, *inputs, **options)
        self._within.append(operation.name)
        try:
            translate = _TRANSLATIONS.get(kind.__name__)
            if translate:
                return translate(self, operation, *inputs)
            arguments = keras.tree.map_structure(_symbol, inputs)
            # Some layers of KerasHub do not take the mode that others pass on.
            options.pop("training", None)
            inside = keras.Model(keras.tree.flatten(arguments), operation.call(*arguments, **options))
            return self.apply(inside, *keras.tree.flatten(inputs))
        finally:
            self._within.pop()

    def name(self, wanted: str) -> str:
        """A name with that of the block in front."""
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


def _values(weight: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def _embed(copy: KerasOnly, patches: keras.Layer, pixels: Any, tokens: Sequence[Any], positions: Any) -> Any:
    """Patches as tokens, behind further tokens, and all with their positions.

    Args:
        copy: Copy that is being made.
        patches: Convolution of the patches.
        pixels: Images.
        tokens: Tokens before the patches, (1, n, width) or (1, width) each, already with their positions.
        positions: Positions of the patches, (patches, width).
    """
    x = copy.call(patches, pixels)
    width = x.shape[-1]
    x = copy.new(keras.layers.Reshape, (x.shape[1] * x.shape[2], width), name="patches")(x)
    table = np.concatenate([*(np.reshape(each, (-1, width)) for each in tokens), positions])
    if more := len(table) - x.shape[1]:
        x = copy.new(keras.layers.ZeroPadding1D, (more, 0), name="tokens")(x)
    add = copy.new(keras.layers.EinsumDense, "bnd,n->bnd", table.shape, bias_axes="nd", name="positions")
    x = add(x)
    add.set_weights([np.ones(len(table), np.float32), table])
    return x


def _embed_vit(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = _values(layer.position_embedding.embeddings)
    tokens = [_values(layer.class_token)[0] + positions[:1]] if layer.use_class_token else []
    return _embed(copy, layer.patch_embedding, pixels, tokens, positions[len(tokens) :])


def _embed_deit(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = _values(layer.position_embedding)[0]
    own = np.concatenate([_values(layer.class_token)[0], _values(layer.distillation_token)[0]])
    return _embed(copy, layer.patch_embedding, pixels, [own + positions[:2]], positions[2:])


def _embed_dinov2(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = _values(layer.interpolated_position_embeddings)[0]
    tokens = [_values(layer.cls_token)[0] + positions[:1]]
    if layer.num_register_tokens:
        tokens.append(_values(layer.register_tokens)[0])
    return _embed(copy, layer.patch_embeddings.projection, pixels, tokens, positions[1:])


def _embed_siglip(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    return _embed(copy, layer.patch_embedding, pixels, [], _values(layer.position_embedding.embeddings))


def _embed_clip(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    # Which row of the table belongs to a token is a weight, too.
    rows = keras.ops.convert_to_numpy(layer.position_ids)[0]
    positions = _values(layer.position_embedding.embeddings)[rows]
    return _embed(
        copy, layer.patch_embedding, pixels, [_values(layer.class_embedding) + positions[:1]], positions[1:]
    )


def _block_of_clip(copy: KerasOnly, layer: Any, x: Any) -> Any:
    y = copy.call(layer.layer_norm_1, x)
    x = keras.ops.add(copy.call(layer.attention, y, y, y), x)
    y = copy.call(layer.dense_1, copy.call(layer.layer_norm_2, x))
    if layer.intermediate_activation == "quick_gelu":
        # Its activation is a function of KerasHub.
        y = keras.ops.multiply(y, keras.ops.sigmoid(keras.ops.multiply(y, 1.702)))
    else:
        y = copy.call(layer.activation, y)
    return keras.ops.add(copy.call(layer.dense_2, y), x)


def _scale_and_shift(copy: KerasOnly, layer: Any, x: Any) -> Any:
    # One factor and one offset for all channels.
    scale = copy.new(keras.layers.DepthwiseConv2D, 1, name=layer.name)
    scaled = scale(x)
    kernel = np.full((1, 1, x.shape[-1], 1), _values(layer.scale).item(), np.float32)
    scale.set_weights([kernel, np.full(x.shape[-1], _values(layer.bias).item(), np.float32)])
    return scaled


def _scale(copy: KerasOnly, layer: Any, x: Any) -> Any:
    scale = copy.new(keras.layers.EinsumDense, "bnd,d->bnd", x.shape[1:], name=layer.name)
    scaled = scale(x)
    scale.set_weights([_values(layer.lambda1)])
    return scaled


def _encode_deit(copy: KerasOnly, layer: Any, x: Any) -> Any:
    for block in layer.encoder_layers:
        x = copy.call(block, x)
    # The layer also returns what it may have been asked to keep, which nothing uses here.
    return [copy.call(layer.layer_norm, x), x, x]


def _block_of_deit(copy: KerasOnly, layer: Any, x: Any) -> Any:
    normalised = copy.call(layer.layer_norm_1, x)
    x = keras.ops.add(copy.call(layer.mha, normalised, normalised), x)
    y = copy.call(layer.mlp, copy.call(layer.layer_norm_2, x))
    return copy.call(layer.output_layer, y, x)


def _pool_by_attention(copy: KerasOnly, layer: Any, x: Any) -> Any:
    query = copy.new(keras.layers.GlobalAveragePooling1D, keepdims=True, name="mean")(x)
    # The query is the same for all images: the mean counts for nothing.
    probe = copy.new(keras.layers.EinsumDense, "bnd,d->bnd", query.shape[1:], bias_axes="d", name="probe")
    query = probe(query)
    probe.set_weights([np.zeros(x.shape[-1], np.float32), _values(layer.probe)[0, 0]])
    pooled = copy.call(layer.attention, query, x, x)
    more = copy.call(layer.mlp, copy.call(layer.layer_norm, pooled))
    return copy.new(keras.layers.Reshape, (x.shape[-1],), name="pooled")(keras.ops.add(pooled, more))


def _mlp_of_siglip(copy: KerasOnly, layer: Any, x: Any) -> Any:
    if layer.activation != "gelu_approximate":
        return copy.call(layer.fc2, copy.call(layer.fc1, x))
    # Its activation is a function of KerasHub, which Keras has as an operation.
    first = copy.new(keras.layers.Dense, layer.intermediate_dim, name="fc1")
    x = first(x)
    first.set_weights(layer.fc1.get_weights())
    return copy.call(layer.fc2, keras.ops.gelu(x, approximate=True))


_TRANSLATIONS: dict[str, Callable[..., Any]] = {
    "CLIPEncoderLayer": _block_of_clip,
    "CLIPVisionEmbedding": _embed_clip,
    "DINOV2Embedding": _embed_dinov2,
    "DINOV2LayerScale": _scale,
    "DeiTEmbeddings": _embed_deit,
    "DeiTEncoder": _encode_deit,
    "DeiTEncoderBlock": _block_of_deit,
    "HGNetV2LearnableAffineBlock": _scale_and_shift,
    "SigLIPMLP": _mlp_of_siglip,
    "SigLIPMultiHeadAttentionPooling": _pool_by_attention,
    "SigLIPVisionEmbedding": _embed_siglip,
    "ViTPatchingAndEmbedding": _embed_vit,
}
