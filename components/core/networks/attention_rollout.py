"""Attention rollout: the places of an image that a transformer's features were gathered from."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.networks.classifier import SHARES
from headstart.components.core.networks.hub_network import CLASS_TOKEN, MEAN_OF_PATCHES

Array = NDArray[np.float32]


def attention_rollout(base: keras.Model, preprocessed: Array, grid: tuple[int, int]) -> Array:
    """Follows the attention of all blocks back from the features to the patches of the image.

    In each block half of a token comes from itself and half from the tokens that it attends to, by the mean of the
    heads. It knows no classes. Source: S. Abnar and W. Zuidema, "Quantifying Attention Flow in Transformers", ACL
    2020, arXiv:2005.00928.

    Args:
        base: Transformer for which `find_grid` gives a grid.
        preprocessed: Inputs of it, (n, size, size, 3).
        grid: Rows and columns of its patches.

    Returns:
        (n, rows, columns), each with 1 as its highest value.
    """
    attention = _list_attention(base)
    wanted = [tensor for each in attention for tensor in _get_inputs(each)]
    inputs = iter(keras.Model(base.input, wanted)(preprocessed))
    flow: Any = None
    for layer in attention:
        if isinstance(layer, keras.layers.Softmax):
            scores = next(inputs)
        else:
            _, scores = layer(next(inputs), next(inputs), next(inputs), return_attention_scores=True)
        mean = np.asarray(scores, np.float32).mean(axis=1)
        if mean.shape[1] == mean.shape[2]:
            mean = 0.5 * mean + 0.5 * np.eye(mean.shape[1], dtype=np.float32)
        flow = mean if flow is None else mean @ flow
    patches = grid[0] * grid[1]
    heat = _gather(base, flow, patches)[:, -patches:].reshape(-1, *grid)
    return np.asarray(heat / heat.max(axis=(1, 2), keepdims=True))


def find_grid(base: keras.Model) -> tuple[int, int] | None:
    """Rows and columns of a transformer's patches; None for a network that is none, or of another kind.

    It is one that ends with a vector of features, and whose attention is that of all patches to all, and in the end
    perhaps that of one query to all.
    """
    attention = _list_attention(base)
    if attention and isinstance(attention[0], keras.layers.Softmax):
        return _find_grid_of_shares(base, attention)
    outputs: list[Any] = [getattr(each.output, "shape", ()) for each in base.operations[1:]]
    maps = [shape[1:3] for shape in outputs if len(shape) == 4 and shape[1:3] != (1, 1)]
    if not attention or not maps or base.output.shape[1:3] != (1, 1):
        return None
    queries = [_get_inputs(each)[0].shape for each in attention]
    values = [_get_inputs(each)[1].shape for each in attention]
    if any(len(each) != 3 for each in (*queries, *values)):
        return None
    tokens = {shape[1] for shape in (*values, *queries[:-1])}
    rows, columns = maps[-1]
    fits = len(tokens) == 1 and queries[-1][1] in (1, *tokens) and min(tokens) >= rows * columns
    return (rows, columns) if fits else None


def _find_grid_of_shares(base: keras.Model, attention: list[keras.Layer]) -> tuple[int, int] | None:
    shapes = {tuple(each.output.shape) for each in attention}
    patches = [each.output.shape[1:3] for each in base.operations if isinstance(each, keras.layers.Conv2D)]
    match [*shapes]:
        case [(_, _, queries, keys)] if queries == keys and patches and base.output.shape[1:3] == (1, 1):
            rows, columns = patches[-1]
            return (rows, columns) if rows * columns <= keys else None
    return None


def _list_attention(base: keras.Model) -> list[keras.Layer]:
    """Layers of attention; of one that is put together from layers, its softmax."""
    return [
        each
        for each in base.operations
        if isinstance(each, keras.layers.MultiHeadAttention)
        or (isinstance(each, keras.layers.Softmax) and each.name.endswith(SHARES))
    ]


def _get_inputs(attention: keras.Layer) -> tuple[keras.KerasTensor, ...]:
    """Query, value and key; the output of a softmax."""
    if isinstance(attention, keras.layers.Softmax):
        return (attention.output,)
    tensors = attention._inbound_nodes[0].input_tensors
    query, value = tensors[0], tensors[min(1, len(tensors) - 1)]
    return query, value, tensors[2] if len(tensors) > 2 else value


def _gather(base: keras.Model, flow: Array, patches: int) -> Array:
    """Shares of the tokens in the features, which are those of a class token, of the patches' mean, or of both."""
    names = {each.name for each in base.operations}
    parts = []
    if CLASS_TOKEN in names:
        parts.append(flow[:, 0])
    if MEAN_OF_PATCHES in names or not parts:
        parts.append(flow[:, -patches:].mean(axis=1))
    return np.asarray(np.mean(parts, axis=0))
