"""Layers of DINOv3, whose patches have angles for positions."""

from typing import Any

import keras
import numpy as np

from headstart.components.core.networks.classifier import CONSTANT, QUERY, VALUE
from headstart.components.core.networks.hub_layers.keras_only import KerasOnly, Translations
from headstart.components.core.networks.hub_layers.parts import (
    as_tokens,
    attend,
    drop,
    einsum,
    read_weight,
    scale_tokens,
    scale_width,
)


def _embed_dinov3(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    layers = keras.layers
    x = copy.call(layer.patch_embeddings.projection, pixels)
    x = as_tokens(copy, x, name="patches")
    patches = x.shape[1]
    tokens = [read_weight(layer.cls_token)[0]]
    if layer.num_register_tokens:
        tokens.append(read_weight(layer.register_tokens)[0])
    table = np.concatenate(tokens)
    # The tokens are the same for all images: added to nothing, which has the size of the batch.
    nothing = copy.new(layers.ZeroPadding1D, (len(table), 0), name="room_for_tokens")(x)
    nothing = copy.new(layers.Cropping1D, (0, patches), name="nothing")(nothing)
    first = scale_tokens(copy, nothing, "n", [np.ones(len(table), np.float32), table], name="tokens")
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
        einsum(
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
    y = attend(copy, None, scores, value)
    dense = layer.output_dense
    kernel, *bias = dense.get_weights()
    output = [kernel.reshape(heads, size, -1), *bias]
    y = einsum(copy, y, "bhtk,hkd->btd", output, "d" if bias else "", name="attention_output")
    return drop(copy, layer.dropout, y)


def _rotate(copy: KerasOnly, x: Any, angles: tuple[Any, Any], unturned: int) -> Any:
    """Turns the halves of each head by the angles of a patch; the tokens before the patches stay as they are.

    Args:
        copy: Copy that is being made.
        x: Queries or keys, (n, tokens, heads, size).
        angles: Cosines and sines, (patches, size) each.
        unturned: Number of tokens before the patches.
    """
    cosines, sines = (read_weight(each) for each in angles)
    size = cosines.shape[-1]
    cosines = np.concatenate([np.ones((unturned, size), np.float32), cosines]).reshape(-1, 2, size // 2)
    sines = np.concatenate([np.zeros((unturned, size), np.float32), sines]).reshape(-1, 2, size // 2)
    # From each half, the second axis, to each half, the third one.
    first, second = (cosines[:, 0], sines[:, 1]), (-sines[:, 0], cosines[:, 1])
    turns = np.stack([np.stack(first, axis=1), np.stack(second, axis=1)], axis=1)
    y = copy.new(keras.layers.Reshape, (*x.shape[1:3], 2, size // 2), name="halves")(x)
    y = einsum(copy, y, "bthik,tijk->bthjk", [turns], name=f"attention_turns_{CONSTANT}", trainable=False)
    return copy.new(keras.layers.Reshape, x.shape[1:], name="turned")(y)


TRANSLATIONS: Translations = {
    "DINOV3Attention": _attention_of_dinov3,
    "DINOV3Embedding": _embed_dinov3,
    "DINOV3Encoder": _encode_dinov3,
    "DINOV3Layer": _block_of_dinov3,
    "DINOV3LayerScale": scale_width,
    "DINOV3RopePositionEmbedding": _turn_dinov3,
}
