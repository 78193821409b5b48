"""Layers of ViT, DeiT, DINOv2, and of the image towers of SigLIP and CLIP."""

from typing import Any

import keras
import numpy as np

from headstart.components.core.networks.hub_layers.keras_only import KerasOnly, Translations
from headstart.components.core.networks.hub_layers.parts import embed_patches, read_weight, scale_tokens, scale_width


def _embed_vit(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = read_weight(layer.position_embedding.embeddings)
    tokens = [read_weight(layer.class_token)[0] + positions[:1]] if layer.use_class_token else []
    return embed_patches(copy, layer.patch_embedding, pixels, tokens, positions[len(tokens) :])


def _embed_deit(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = read_weight(layer.position_embedding)[0]
    own = np.concatenate([read_weight(layer.class_token)[0], read_weight(layer.distillation_token)[0]])
    return embed_patches(copy, layer.patch_embedding, pixels, [own + positions[:2]], positions[2:])


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


def _embed_dinov2(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    positions = read_weight(layer.interpolated_position_embeddings)[0]
    tokens = [read_weight(layer.cls_token)[0] + positions[:1]]
    if layer.num_register_tokens:
        tokens.append(read_weight(layer.register_tokens)[0])
    return embed_patches(copy, layer.patch_embeddings.projection, pixels, tokens, positions[1:])


def _embed_siglip(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    return embed_patches(copy, layer.patch_embedding, pixels, [], read_weight(layer.position_embedding.embeddings))


def _mlp_of_siglip(copy: KerasOnly, layer: Any, x: Any) -> Any:
    if layer.activation != "gelu_approximate":
        return copy.call(layer.fc2, copy.call(layer.fc1, x))
    # Its activation is a function of KerasHub, which Keras has as an operation.
    first = copy.new(keras.layers.Dense, layer.intermediate_dim, name="fc1")
    x = first(x)
    first.set_weights(layer.fc1.get_weights())
    return copy.call(layer.fc2, keras.ops.gelu(x, approximate=True))


def _pool_by_attention(copy: KerasOnly, layer: Any, x: Any) -> Any:
    query = copy.new(keras.layers.GlobalAveragePooling1D, keepdims=True, name="mean")(x)
    # The query is the same for all images: the mean counts for nothing.
    query = scale_tokens(
        copy, query, "d", [np.zeros(x.shape[-1], np.float32), read_weight(layer.probe)[0]], name="probe"
    )
    pooled = copy.call(layer.attention, query, x, x)
    more = copy.call(layer.mlp, copy.call(layer.layer_norm, pooled))
    return copy.new(keras.layers.Reshape, (x.shape[-1],), name="pooled")(keras.ops.add(pooled, more))


def _embed_clip(copy: KerasOnly, layer: Any, pixels: Any) -> Any:
    # Which row of the table belongs to a token is a weight, too.
    rows = keras.ops.convert_to_numpy(layer.position_ids)[0]
    positions = read_weight(layer.position_embedding.embeddings)[rows]
    return embed_patches(
        copy, layer.patch_embedding, pixels, [read_weight(layer.class_embedding) + positions[:1]], positions[1:]
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


TRANSLATIONS: Translations = {
    "CLIPEncoderLayer": _block_of_clip,
    "CLIPVisionEmbedding": _embed_clip,
    "DINOV2Embedding": _embed_dinov2,
    "DINOV2LayerScale": scale_width,
    "DeiTEmbeddings": _embed_deit,
    "DeiTEncoder": _encode_deit,
    "DeiTEncoderBlock": _block_of_deit,
    "SigLIPMLP": _mlp_of_siglip,
    "SigLIPMultiHeadAttentionPooling": _pool_by_attention,
    "SigLIPVisionEmbedding": _embed_siglip,
    "ViTPatchingAndEmbedding": _embed_vit,
}
