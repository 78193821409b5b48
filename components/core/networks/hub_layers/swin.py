"""Layers of Swin, whose tokens attend to each other within windows."""

from typing import Any

import keras
import numpy as np

from headstart.components.core.networks.classifier import CONSTANT, QUERY, VALUE
from headstart.components.core.networks.hub_layers.keras_only import KerasOnly, Translations
from headstart.components.core.networks.hub_layers.parts import Array, as_tokens, attend, drop, einsum, read_weight


def _embed_swin(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    x = copy.call(layer.proj, pixels)
    x = as_tokens(copy, x, name="patches")
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
    y = copy.call(layer.mlp.fc2, drop(copy, layer.mlp.dropout, y))
    return keras.ops.add(x, drop(copy, layer.mlp.dropout, y))


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
    query = einsum(copy, x, "bwtd,dhk->bwhtk", query, axes, name=QUERY)
    key = einsum(copy, x, "bwtd,dhk->bwhkt", key, axes, name="attention_key")
    value = einsum(copy, x, "bwtd,dhk->bwhtk", value, axes, name=VALUE)
    scores = keras.ops.matmul(query, key)
    # One scale for all heads, and what was learned of how two tokens lie to each other.
    places = [np.full(heads, attention.scale, np.float32), read_weight(attention._get_rel_pos_bias())]
    scores = einsum(copy, scores, "bwhij,h->bwhij", places, "hij", name="attention_positions")
    if layer.shift_size:
        mask = [np.ones(heads, np.float32), _mask_windows((height, width), side, layer.shift_size)]
        name = f"attention_mask_{CONSTANT}"
        scores = einsum(copy, scores, "bwhij,h->bwhij", mask, "wij", name=name, trainable=False)
    y = attend(copy, attention.attention_dropout_layer, scores, value)
    kernel, bias = attention.proj.get_weights()
    output = [kernel.reshape(heads, -1, channels), bias]
    y = einsum(copy, y, "bwhtk,hkd->bwtd", output, "d", name="attention_output")
    y = drop(copy, attention.proj_drop, y)
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


TRANSLATIONS: Translations = {
    "PatchEmbedding": _embed_swin,
    "SwinTransformerBlock": _block_of_swin,
    "SwinTransformerStage": _stage_of_swin,
}
