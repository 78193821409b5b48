"""Layers of MobileNetV5 and HGNetV2."""

from typing import Any

import keras
import numpy as np

from headstart.components.core.networks.classifier import QUERY, VALUE
from headstart.components.core.networks.hub_layers.keras_only import KerasOnly, Translations
from headstart.components.core.networks.hub_layers.parts import as_tokens, attend, call_all, drop, einsum, read_weight


def _convolution_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    x = copy.call(layer.norm, copy.call(layer.conv, x))
    if not layer.apply_act:
        return x
    # Its activation may be a function of KerasHub.
    return copy.new(keras.layers.Activation, layer.act_layer, name="activation")(x)


def _norm_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    norm = copy.new(keras.layers.RMSNormalization, epsilon=layer.eps, name=layer.name)
    x = norm(x)
    norm.set_weights([read_weight(layer.gamma)])
    return x


def _scale_map(copy: KerasOnly, layer: Any, x: Any) -> Any:
    return einsum(copy, x, "bhwd,d->bhwd", [read_weight(layer.gamma)], name=layer.name)


def _attention_of_mobilenetv5(copy: KerasOnly, layer: Any, x: Any) -> Any:
    """Attention of the places of a map, whose heads have one key and one value in common."""
    heads, axes = layer.num_heads, "k" if layer.use_bias else ""
    (*below_query, query), (*below_key, key), (*below_value, value) = (
        layer.query_layers,
        layer.key_layers,
        layer.value_layers,
    )
    map_of_queries = call_all(copy, below_query, x)
    x_q = as_tokens(copy, map_of_queries, name="query_tokens")
    x_k = as_tokens(copy, call_all(copy, below_key, x), name="key_tokens")
    x_v = as_tokens(copy, call_all(copy, below_value, x), name="value_tokens")
    projection = [np.reshape(each, (*each.shape[2:-1], heads, layer.key_dim)) for each in query.get_weights()]
    queries = einsum(copy, x_q, "btd,dhk->bhtk", projection, axes and "hk", name=QUERY)
    projection = [np.reshape(each, (*each.shape[2:-1], 1, layer.key_dim)) for each in key.get_weights()]
    keys = einsum(copy, x_k, "bsd,dhk->bhks", projection, axes and "hk", name="attention_key")
    projection = [np.reshape(each, (*each.shape[2:-1], 1, layer.value_dim)) for each in value.get_weights()]
    values = einsum(copy, x_v, "bsd,dhk->bhsk", projection, axes and "hk", name=VALUE)
    scores = keras.ops.matmul(keras.ops.multiply(queries, layer.scale), keys)
    y = attend(copy, layer.attn_drop_layer, scores, values)
    y = copy.new(keras.layers.Permute, (2, 1, 3), name="attention_tokens")(y)
    height, width = map_of_queries.shape[1:3]
    y = copy.new(keras.layers.Reshape, (height, width, heads * layer.value_dim), name="attention_map")(y)
    *after, dropout = layer.output_proj_layers
    return drop(copy, dropout, call_all(copy, after, y))


def _scale_and_shift(copy: KerasOnly, layer: Any, x: Any) -> Any:
    # One factor and one offset for all channels.
    scale = copy.new(keras.layers.DepthwiseConv2D, 1, name=layer.name)
    scaled = scale(x)
    kernel = np.full((1, 1, x.shape[-1], 1), read_weight(layer.scale).item(), np.float32)
    scale.set_weights([kernel, np.full(x.shape[-1], read_weight(layer.bias).item(), np.float32)])
    return scaled


TRANSLATIONS: Translations = {
    "ConvNormAct": _convolution_of_mobilenetv5,
    "HGNetV2LearnableAffineBlock": _scale_and_shift,
    "LayerScale2d": _scale_map,
    "MultiQueryAttention2d": _attention_of_mobilenetv5,
    "RmsNorm2d": _norm_of_mobilenetv5,
}
