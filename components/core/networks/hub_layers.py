"""Networks of KerasHub in layers of Keras alone: KerasHub's own layers are taken apart, or put in other words.

What was trained from such a network loads and runs without KerasHub, and is inspected, cut and folded like any other.
"""

import collections
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.networks.classifier import CONSTANT, QUERY, SHARES, VALUE
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
            translate = _TRANSLATIONS.get(kind.__name__)
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
    x = _as_tokens(copy, x, name="patches")
    table = np.concatenate([*(np.reshape(each, (-1, width)) for each in tokens), positions])
    if more := len(table) - x.shape[1]:
        x = copy.new(keras.layers.ZeroPadding1D, (more, 0), name="tokens")(x)
    return _scale_tokens(copy, x, "n", [np.ones(len(table), np.float32), table], name="positions")


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


def _einsum(
    copy: KerasOnly,
    x: Any,
    equation: str,
    weights: Sequence[Array],
    bias_axes: str = "",
    *,
    name: str,
    trainable: bool = True,
) -> Any:
    """Multiplies by a kernel, and perhaps adds a bias.

    Args:
        copy: Copy that is being made.
        x: Tensor to multiply; all axes but that of the batch have a known size.
        equation: The product, as `keras.layers.EinsumDense` has it; the first axis is the batch.
        weights: Kernel, and with `bias_axes` a bias of these axes.
        bias_axes: Axes of the bias, in the order of the output.
        name: Name of the layer.
        trainable: Whether the weights are parameters.
    """
    inputs, kernel, output = re.split(",|->", equation)
    sizes = dict(zip(inputs, x.shape, strict=True)) | dict(zip(kernel, weights[0].shape, strict=True))
    shape = [sizes[axis] for axis in output[1:]]
    layer = copy.new(
        keras.layers.EinsumDense, equation, shape, bias_axes=bias_axes or None, name=name, trainable=trainable
    )
    y = layer(x)
    layer.set_weights([np.reshape(value, weight.shape) for value, weight in zip(weights, layer.weights, strict=True)])
    return y


def _scale_tokens(copy: KerasOnly, x: Any, axis: str, weights: Sequence[Array], *, name: str) -> Any:
    """Multiplies tokens by factors, and perhaps adds a bias.

    They get two more axes for it: LiteRT's converter mixes up the axes of a product of which the factors lack two.

    Args:
        copy: Copy that is being made.
        x: Tokens, (n, tokens, width).
        axis: Axis of the factors, `n` for tokens or `d` for width.
        weights: Factors, and perhaps a bias, (tokens, width).
        name: Name of the layer that has the weights.
    """
    # With dots: a number with an underscore behind it would begin a block.
    y = copy.new(keras.layers.Reshape, (1, 1, *x.shape[1:]), name=f"{name}.before")(x)
    bias_axes = "nd" if len(weights) > 1 else ""
    y = _einsum(copy, y, f"bijnd,{axis}->bijnd", weights, bias_axes, name=name)
    return copy.new(keras.layers.Reshape, x.shape[1:], name=f"{name}.after")(y)


def _drop(copy: KerasOnly, dropout: Any, x: Any) -> Any:
    return copy.call(dropout, x) if dropout and dropout.rate else x


def _attend(copy: KerasOnly, layer: Any, scores: Any, value: Any) -> Any:
    """What the tokens take of each other's values, by their scores."""
    shares = copy.new(keras.layers.Softmax, name=SHARES)(scores)
    return keras.ops.matmul(_drop(copy, layer, shares), value)


def _embed_dinov3(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    layers = keras.layers
    x = copy.call(layer.patch_embeddings.projection, pixels)
    x = _as_tokens(copy, x, name="patches")
    patches = x.shape[1]
    tokens = [_values(layer.cls_token)[0]]
    if layer.num_register_tokens:
        tokens.append(_values(layer.register_tokens)[0])
    table = np.concatenate(tokens)
    # The tokens are the same for all images: added to nothing, which has the size of the batch.
    nothing = copy.new(layers.ZeroPadding1D, (len(table), 0), name="room_for_tokens")(x)
    nothing = copy.new(layers.Cropping1D, (0, patches), name="nothing")(nothing)
    first = _scale_tokens(copy, nothing, "n", [np.ones(len(table), np.float32), table], name="tokens")
    return copy.new(layers.Concatenate, axis=1, name="tokens_and_patches")([first, x])


def _turn_dinov3(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    # Cosines and sines of the patches' angles; they depend on the size of the images alone.
    return layer.call(np.zeros((1, *pixels.shape[1:]), np.float32))


def _encode_dinov3(copy: KerasOnly, layer: Any, x: Any, **options: Any) -> Any:
    stages = {}
    for at, block in enumerate(layer.layers, start=1):
        stages[f"stage{at}"] = x = copy.call(block, x, **options)
    return x, stages


def _block_of_dinov3(copy: KerasOnly, layer: Any, x: Any, **options: Any) -> Any:
    y = copy.call(layer.attention, copy.call(layer.norm1, x), **options)
    x = keras.ops.add(x, copy.call(layer.layer_scale1, y))
    y = copy.call(layer.mlp, copy.call(layer.norm2, x))
    return keras.ops.add(x, copy.call(layer.layer_scale2, y))


def _attention_of_dinov3(
    copy: KerasOnly, layer: Any, x: Any, position_embeddings: Any, num_prefix_tokens: int, **options: Any
) -> Any:
    heads, size = layer.num_heads, layer.head_dim
    parts = (layer.query_dense, QUERY), (layer.key_dense, "attention_key"), (layer.value_dense, VALUE)
    query, key, value = (
        _einsum(
            copy,
            x,
            "btd,dhk->bhtk" if name == VALUE else "btd,dhk->bthk",
            [np.reshape(each, (*each.shape[:-1], heads, size)) for each in dense.get_weights()],
            "hk" if dense.use_bias else "",
            name=name,
        )
        for dense, name in parts
    )
    both = copy.new(keras.layers.Concatenate, axis=2, name="attention_both")([query, key])
    query, key = keras.ops.split(_rotate(copy, both, position_embeddings, num_prefix_tokens), 2, axis=2)
    scores = keras.ops.matmul(
        copy.new(keras.layers.Permute, (2, 1, 3), name="attention_queries")(keras.ops.multiply(query, layer.scale)),
        copy.new(keras.layers.Permute, (2, 3, 1), name="attention_keys")(key),
    )
    y = _attend(copy, None, scores, value)
    dense = layer.output_dense
    kernel, *bias = dense.get_weights()
    output = [kernel.reshape(heads, size, -1), *bias]
    y = _einsum(copy, y, "bhtk,hkd->btd", output, "d" if bias else "", name="attention_output")
    return _drop(copy, layer.dropout, y)


def _rotate(copy: KerasOnly, x: Any, angles: tuple[Any, Any], unturned: int) -> Any:
    """Turns the halves of each head by the angles of a patch; the tokens before the patches stay as they are.

    Args:
        copy: Copy that is being made.
        x: Queries or keys, (n, tokens, heads, size).
        angles: Cosines and sines, (patches, size) each.
        unturned: Number of tokens before the patches.
    """
    cosines, sines = (_values(each) for each in angles)
    size = cosines.shape[-1]
    cosines = np.concatenate([np.ones((unturned, size), np.float32), cosines]).reshape(-1, 2, size // 2)
    sines = np.concatenate([np.zeros((unturned, size), np.float32), sines]).reshape(-1, 2, size // 2)
    # From each half, the second axis, to each half, the third one.
    first, second = (cosines[:, 0], sines[:, 1]), (-sines[:, 0], cosines[:, 1])
    turns = np.stack([np.stack(first, axis=1), np.stack(second, axis=1)], axis=1)
    y = copy.new(keras.layers.Reshape, (*x.shape[1:3], 2, size // 2), name="halves")(x)
    y = _einsum(copy, y, "bthik,tijk->bthjk", [turns], name=f"attention_turns_{CONSTANT}", trainable=False)
    return copy.new(keras.layers.Reshape, x.shape[1:], name="turned")(y)


def _convolution_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    x = copy.call(layer.norm, copy.call(layer.conv, x))
    if not layer.apply_act:
        return x
    # Its activation may be a function of KerasHub.
    return copy.new(keras.layers.Activation, layer.act_layer, name="activation")(x)


def _norm_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    norm = copy.new(keras.layers.RMSNormalization, epsilon=layer.eps, name=layer.name)
    x = norm(x)
    norm.set_weights([_values(layer.gamma)])
    return x


def _scale_map(copy: KerasOnly, layer: Any, x: Any) -> Any:
    return _einsum(copy, x, "bhwd,d->bhwd", [_values(layer.gamma)], name=layer.name)


def _attention_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    """Attention of the places of a map, whose heads have one key and one value in common."""
    heads, axes = layer.num_heads, "k" if layer.use_bias else ""
    (*below_query, query), (*below_key, key), (*below_value, value) = (
        layer.query_layers,
        layer.key_layers,
        layer.value_layers,
    )
    map_of_queries = _call_all(copy, below_query, x)
    x_q = _as_tokens(copy, map_of_queries, name="query_tokens")
    x_k = _as_tokens(copy, _call_all(copy, below_key, x), name="key_tokens")
    x_v = _as_tokens(copy, _call_all(copy, below_value, x), name="value_tokens")
    projection = [np.reshape(each, (*each.shape[2:-1], heads, layer.key_dim)) for each in query.get_weights()]
    queries = _einsum(copy, x_q, "btd,dhk->bhtk", projection, axes and "hk", name=QUERY)
    projection = [np.reshape(each, (*each.shape[2:-1], 1, layer.key_dim)) for each in key.get_weights()]
    keys = _einsum(copy, x_k, "bsd,dhk->bhks", projection, axes and "hk", name="attention_key")
    projection = [np.reshape(each, (*each.shape[2:-1], 1, layer.value_dim)) for each in value.get_weights()]
    values = _einsum(copy, x_v, "bsd,dhk->bhsk", projection, axes and "hk", name=VALUE)
    scores = keras.ops.matmul(keras.ops.multiply(queries, layer.scale), keys)
    y = _attend(copy, layer.attn_drop_layer, scores, values)
    y = copy.new(keras.layers.Permute, (2, 1, 3), name="attention_tokens")(y)
    height, width = map_of_queries.shape[1:3]
    y = copy.new(keras.layers.Reshape, (height, width, heads * layer.value_dim), name="attention_map")(y)
    *after, dropout = layer.output_proj_layers
    return _drop(copy, dropout, _call_all(copy, after, y))


def _call_all(copy: KerasOnly, layers: Sequence[keras.Layer], x: Any) -> Any:
    for layer in layers:
        x = copy.call(layer, x)
    return x


def _as_tokens(copy: KerasOnly, x: Any, *, name: str) -> Any:
    return copy.new(keras.layers.Reshape, (x.shape[1] * x.shape[2], x.shape[3]), name=name)(x)


def _embed_swin(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    x = copy.call(layer.proj, pixels)
    x = _as_tokens(copy, x, name="patches")
    return copy.call(layer.norm, x) if layer.norm else x


def _stage_of_swin(copy: KerasOnly, layer: Any, x: Any) -> Any:
    for block in layer.blocks:
        x = copy.call(block, x)
    return _merge_patches(copy, layer, x) if layer.downsample else x


def _merge_patches(copy: KerasOnly, stage: Any, x: Any) -> Any:
    """Concatenates the channels of 2 x 2 patches, and reduces them."""
    layers, (height, width), merging, channels = keras.layers, stage.input_resolution, stage.downsample, x.shape[-1]
    x = copy.new(layers.Reshape, (height, width, channels), name="downsample_map")(x)
    rows, columns = height // 2, width // 2
    x = copy.new(layers.Reshape, (rows, 2, columns, 2 * channels), name="downsample_rows")(x)
    x = copy.new(layers.Permute, (1, 3, 2, 4), name="downsample_patches")(x)
    x = copy.new(layers.Reshape, (rows * columns, 4 * channels), name="downsample_tokens")(x)
    # KerasHub has the patches column by column, and these are row by row.
    order = np.arange(4 * channels).reshape(2, 2, channels).transpose(1, 0, 2).ravel()
    norm = copy.new(layers.LayerNormalization, epsilon=merging.norm.epsilon, name="downsample_norm")
    x = norm(x)
    norm.set_weights([each[order] for each in merging.norm.get_weights()])
    reduction = copy.new(layers.Dense, 2 * channels, use_bias=False, name="downsample_reduction")
    x = reduction(x)
    reduction.set_weights([merging.reduction.get_weights()[0][order]])
    return x


def _block_of_swin(copy: KerasOnly, layer: Any, x: Any) -> Any:
    layers, shift, (height, width) = keras.layers, layer.shift_size, layer.input_resolution
    y = copy.call(layer.norm1, x)
    y = copy.new(layers.Reshape, (height, width, x.shape[-1]), name="map")(y)
    y = _roll(copy, y, shift, name="shift")
    y = _attend_in_windows(copy, layer, y)
    y = _roll(copy, y, -shift, name="shift_back")
    if y.shape[1:3] != (height, width):
        # As KerasHub does, after the move.
        more = (y.shape[1] - height, y.shape[2] - width)
        y = copy.new(layers.Cropping2D, ((0, more[0]), (0, more[1])), name="unpad")(y)
    x = keras.ops.add(x, copy.new(layers.Reshape, x.shape[1:], name="tokens")(y))
    y = copy.call(layer.norm2, x)
    y = copy.new(layers.Activation, layer.mlp.act_layer, name="mlp_activation")(copy.call(layer.mlp.fc1, y))
    y = copy.call(layer.mlp.fc2, _drop(copy, layer.mlp.dropout, y))
    return keras.ops.add(x, _drop(copy, layer.mlp.dropout, y))


def _roll(copy: KerasOnly, x: Any, shift: int, *, name: str) -> Any:
    """Moves a map up and left by a number of places, and what leaves it comes in at the other side."""
    for axis, side in enumerate(x.shape[1:3]) if shift else ():
        cut = shift % side
        parts = []
        for part, (before, after) in (("end", (cut, 0)), ("start", (0, side - cut))):
            crops = [(0, 0), (0, 0)]
            crops[axis] = (before, after)
            parts.append(copy.new(keras.layers.Cropping2D, tuple(crops), name=f"{name}_{axis}_{part}")(x))
        x = copy.new(keras.layers.Concatenate, axis=axis + 1, name=f"{name}_{axis}")(parts)
    return x


def _attend_in_windows(copy: KerasOnly, layer: Any, x: Any) -> Any:
    """Attention within each window of a map, which is padded to whole windows; they are an axis of their own."""
    layers, attention, side = keras.layers, layer.attn, layer.window_size
    (height, width, channels), heads = x.shape[1:], layer.attn.num_heads
    more = (-height % side, -width % side)
    if any(more):
        x = copy.new(layers.ZeroPadding2D, ((0, more[0]), (0, more[1])), name="pad")(x)
    rows, columns = (height + more[0]) // side, (width + more[1]) // side
    x = copy.new(layers.Reshape, (rows, side, columns, side * channels), name="rows_of_windows")(x)
    x = copy.new(layers.Permute, (1, 3, 2, 4), name="windows_of_rows")(x)
    x = copy.new(layers.Reshape, (rows * columns, side * side, channels), name="windows")(x)
    together = [np.reshape(each, (*each.shape[:-1], 3, heads, -1)) for each in attention.qkv.get_weights()]
    query, key, value = ([each[..., at, :, :] for each in together] for at in range(3))
    axes = "hk" if attention.qkv_bias else ""
    query = _einsum(copy, x, "bwtd,dhk->bwhtk", query, axes, name=QUERY)
    key = _einsum(copy, x, "bwtd,dhk->bwhkt", key, axes, name="attention_key")
    value = _einsum(copy, x, "bwtd,dhk->bwhtk", value, axes, name=VALUE)
    scores = keras.ops.matmul(query, key)
    # One scale for all heads, and what was learned of how two tokens lie to each other.
    places = [np.full(heads, attention.scale, np.float32), _values(attention._get_rel_pos_bias())]
    scores = _einsum(copy, scores, "bwhij,h->bwhij", places, "hij", name="attention_positions")
    if layer.shift_size:
        mask = [np.ones(heads, np.float32), _mask_windows((height, width), side, layer.shift_size)]
        name = f"attention_mask_{CONSTANT}"
        scores = _einsum(copy, scores, "bwhij,h->bwhij", mask, "wij", name=name, trainable=False)
    y = _attend(copy, attention.attention_dropout_layer, scores, value)
    kernel, bias = attention.proj.get_weights()
    output = [kernel.reshape(heads, -1, channels), bias]
    y = _einsum(copy, y, "bwhtk,hkd->bwtd", output, "d", name="attention_output")
    y = _drop(copy, attention.proj_drop, y)
    y = copy.new(layers.Reshape, (rows, columns, side, side * channels), name="windows_back")(y)
    y = copy.new(layers.Permute, (1, 3, 2, 4), name="rows_back")(y)
    return copy.new(layers.Reshape, (rows * side, columns * side, channels), name="map_back")(y)


def _mask_windows(size: tuple[int, int], side: int, shift: int) -> Array:
    """What is added to the scores in a moved map: much less than 0 for tokens that the move has brought together.

    Args:
        size: Height and width of the map in patches.
        side: Side of a window in patches.
        shift: Patches that the map was moved by.

    Returns:
        (windows, side², side²), 0 or -100 as its authors have it.
    """
    # Where a patch of the moved map is from: from within, from the last window, or from the other side.
    rows, columns = (
        (np.arange(each) >= each - side).astype(int) + (np.arange(each) >= each - shift) for each in size
    )
    regions = np.pad(3 * rows[:, None] + columns, [(0, -each % side) for each in size])
    height, width = regions.shape
    windows = regions.reshape(height // side, side, width // side, side).swapaxes(1, 2).reshape(-1, side * side)
    return np.where(windows[:, :, None] != windows[:, None, :], -100, 0).astype(np.float32)


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
    return _scale_tokens(copy, x, "d", [_values(layer.lambda1)], name=layer.name)


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
    query = _scale_tokens(
        copy, query, "d", [np.zeros(x.shape[-1], np.float32), _values(layer.probe)[0]], name="probe"
    )
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
    "ConvNormAct": _convolution_of_mobilenetv5,
    "DINOV2Embedding": _embed_dinov2,
    "DINOV2LayerScale": _scale,
    "DINOV3Attention": _attention_of_dinov3,
    "DINOV3Embedding": _embed_dinov3,
    "DINOV3Encoder": _encode_dinov3,
    "DINOV3Layer": _block_of_dinov3,
    "DINOV3LayerScale": _scale,
    "DINOV3RopePositionEmbedding": _turn_dinov3,
    "DeiTEmbeddings": _embed_deit,
    "DeiTEncoder": _encode_deit,
    "DeiTEncoderBlock": _block_of_deit,
    "HGNetV2LearnableAffineBlock": _scale_and_shift,
    "LayerScale2d": _scale_map,
    "MultiQueryAttention2d": _attention_of_mobilenetv5,
    "PatchEmbedding": _embed_swin,
    "RmsNorm2d": _norm_of_mobilenetv5,
    "SigLIPMLP": _mlp_of_siglip,
    "SigLIPMultiHeadAttentionPooling": _pool_by_attention,
    "SigLIPVisionEmbedding": _embed_siglip,
    "SwinTransformerBlock": _block_of_swin,
    "SwinTransformerStage": _stage_of_swin,
    "ViTPatchingAndEmbedding": _embed_vit,
}
