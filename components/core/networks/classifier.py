"""The classifier: a chain of standard Keras layers from pixels to probabilities, and how it is cut in two.

    image (any size, RGB 0-255) -> resize -> preprocessing -> backbone -> head

The backbone is one layer of the chain. A cut inside it gives a front, which is frozen and whose features are computed
once, and a tail, which is trained on these features. Both share their weights with the classifier. The chain is
walked by `operations`, not `layers`: reversing the colour channels is an operation of Keras that is not a layer.
"""

import dataclasses
import importlib
import inspect
import math
import re
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.artifacts import keras_file
from headstart.components.core.backbones.table import Backbone, Head, Preprocessing, get_backbone
from headstart.components.core.util.errors import HeadstartError

RESIZE = keras_file.RESIZE
PREPROCESS = "preprocess"
BACKBONE_END = "backbone end"

ALL, TOP, TOP_THIRD, COARSEST = "all", "top", "top_third", "coarsest"
"""Cut points that every backbone has: its first layer, its last block, the first of its last third of blocks, and the
first block of the coarsest feature map, which is that of `TOP_THIRD` if all maps are alike."""

STEM = "stem"

QUERY, VALUE, SHARES = "attention_query", "attention_value", "attention_shares"
"""Ends of the names of layers that an attention is put together from where it is no `MultiHeadAttention` of Keras:
projections to queries and values, and the softmax that says how much a token takes of each."""

CONSTANT = "constant"
"""End of the names of layers whose weights are no parameters, such as the angles of rotary embeddings."""

_ROUNDING = 1e-2
"""Largest deviation of a sum of probabilities from 1: ten times what 16 bits lose over a thousand classes."""

# keras.applications.imagenet_utils: mode "caffe", blue, green, red; mode "torch", red, green, blue.
_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
_IMAGENET_MEAN_RGB = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_VARIANCE_RGB = ((0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2)


def build_backbone(backbone: Backbone, image_size: int, weights: str | None = None) -> keras.Model:
    """Builds a backbone without preprocessing and without a head.

    Args:
        backbone: Row of the table of backbones.
        image_size: Side of the input in pixels.
        weights: Weights for `keras.applications`; None: random.

    Returns:
        A model from preprocessed pixels (n, size, size, 3) to a feature map.
    """
    module, _, function = backbone.constructor.partition(":")
    constructor = getattr(importlib.import_module(module), function)
    accepted = inspect.signature(constructor).parameters
    wanted = {"include_top": False, "weights": weights, "include_preprocessing": False}
    base = constructor(
        input_shape=(image_size, image_size, 3), **{name: value for name, value in wanted.items() if name in accepted}
    )
    # Renamed afterwards: EfficientNetV2 looks up its sizes by the name it is built with.
    return keras.Model(base.input, base.output, name=backbone.name)


def build_classifier(
    base: keras.Model, preprocessing: Preprocessing, head: Head, classes: int, image_size: int
) -> keras.Model:
    """Builds the classifier around a backbone: resizing and preprocessing before it, the head behind it.

    Args:
        base: Backbone for preprocessed pixels (n, size, size, 3).
        preprocessing: Preprocessing that the backbone expects.
        head: Pooling, hidden layer and dropout of the head.
        classes: Number of classes. Two get one sigmoid unit, the probability of the second class; more get a softmax.
        image_size: Side in pixels that images are resized to.

    Returns:
        A model from float32 RGB pixels 0-255, (n, height, width, 3), to (n, 1) or (n, classes).
    """
    layers = keras.layers
    pixels = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(image_size, image_size, antialias=True, name=RESIZE)(pixels)
    x = _preprocess(x, preprocessing)
    x = base(x)
    pooling = layers.GlobalAveragePooling2D if head.pooling == "average" else layers.Flatten
    x = pooling(name="pool")(x)
    if head.feature_dropout:
        x = layers.Dropout(head.feature_dropout, name="feature_dropout")(x)
    if head.hidden_units:
        x = layers.Dense(head.hidden_units, activation="relu", name="hidden")(x)
    if head.dropout:
        x = layers.Dropout(head.dropout, name="dropout")(x)
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return keras.Model(pixels, layers.Dense(units, activation=activation, name=keras_file.OUTPUT)(x))


@dataclasses.dataclass(frozen=True)
class ClassifierParts:
    """A classifier cut in two; both parts share their weights with it.

    Attributes:
        front: Resized pixels (n, size, size, 3), 0-255, to the activations at the cut.
        tail: Activations at the cut to the classifier's output.
        size: Side of the resized pixels.
    """

    front: keras.Model
    tail: keras.Model
    size: int


def cut_classifier(model: keras.Model, base_name: str, point: str) -> ClassifierParts:
    """Cuts a classifier below a layer of its backbone, or after the whole backbone and the pooling.

    If parallel branches surround that layer, the cut is below all of them: at the last tensor that everything passes
    through.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: First layer of the backbone above the cut. A layer's name, or the prefix of a block (``block_13``) or
            of several (``conv5``), without the backbone's own name; or `ALL`, `TOP`, `TOP_THIRD`; or `BACKBONE_END`.

    Returns:
        The part below the cut and the part above it.

    Raises:
        HeadstartError: If there is no such layer, or neither it nor any layer after it has weights.
    """
    front, tail = _cut_chain(model, base_name, point)
    return ClassifierParts(front, _chain_model(front.output, tail), front.input.shape[1])


def cut_backbone(model: keras.Model, base_name: str, point: str) -> tuple[keras.Model, keras.Model]:
    """Cuts the part of a classifier below `BACKBONE_END` in two.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: First layer of the backbone above the cut, see `cut_classifier`; not `BACKBONE_END`.

    Returns:
        A model from resized pixels to the activations at the cut, and one from there to the pooled features.

    Raises:
        HeadstartError: If there is no such layer, or neither it nor any layer after it has weights.
    """
    front, tail = _cut_chain(model, base_name, point)
    return front, _chain_model(front.output, tail[:2])


def unfreeze(model: keras.Model, base_name: str, point: str) -> ClassifierParts:
    """Makes a backbone trainable from a layer on, in the order of its layers, and cuts the classifier below it.

    BatchNormalization and constants stay frozen, and so do layers above the cut that come before that layer.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: First trainable layer of the backbone, see `cut_classifier`.

    Returns:
        The frozen part below the cut and the part above it.

    Raises:
        HeadstartError: If there is no such layer, or neither it nor any layer after it has weights.
    """
    base = model.get_layer(base_name)
    parts = cut_classifier(model, base_name, point)
    # On the backbone, not the classifier: Keras does not descend into a model that is trainable already.
    base.trainable = True
    for operation in base.operations[: _position(base, point)]:
        if isinstance(operation, keras.Layer):
            operation.trainable = False
    freeze_batchnorm(base)
    for layer in base.layers:
        if layer.name.endswith(CONSTANT):
            layer.trainable = False
    return parts


def get_blocks(base: keras.Model) -> dict[str, list[keras.Layer]]:
    """Layers of a backbone by block, from the input up; those before the first block are under `STEM`.

    Where the names of the layers tell nothing, each layer with weights begins a block, which has its name.
    """
    pattern = re.compile(get_backbone(base.name).blocks)
    names = {layer.name: found[0] for layer in base.layers[1:] if (found := pattern.match(_short_name(base, layer)))}
    if not names:
        norms = keras.layers.BatchNormalization
        names = {each.name: each.name for each in base.layers[1:] if each.weights and not isinstance(each, norms)}
    blocks: dict[str, list[keras.Layer]] = {STEM: []}
    name = STEM
    for layer in base.layers[1:]:
        name = names.get(layer.name, name)
        blocks.setdefault(name, []).append(layer)
    return blocks


def get_layers_from(base: keras.Model, point: str) -> list[keras.Layer]:
    """Layers of a backbone from one on, in their order; see `cut_classifier`.

    Raises:
        HeadstartError: If there is no such layer.
    """
    return [each for each in base.operations[_position(base, point) :] if isinstance(each, keras.Layer)]


def remove_resizing(model: keras.Model) -> keras.Model:
    """Returns the classifier without its resizing, for images that are resized already.

    Returns:
        A model from resized pixels (n, size, size, 3), 0-255, to the classifier's output.
    """
    pixels, chain = _layers_after_resizing(model)
    return keras.Model(pixels, _apply(pixels, chain))


def add_features_output(model: keras.Model) -> keras.Model:
    """Returns a classifier, or its upper part, with a second output: the activations that its output layer gets."""
    layer, node, _ = model.output._keras_history
    (given,) = layer._inbound_nodes[node].input_tensors
    # The output layer may lie in a model that this one ends with, as in end-to-end training.
    outputs = add_features_output(layer)(given) if isinstance(layer, keras.Model) else [model.output, given]
    return keras.Model(model.input, outputs)


def add_temperature_scaling(model: keras.Model, temperature: float) -> keras.Model:
    """Returns the classifier without its resizing and with temperature scaling built in, for other runtimes.

    As in `core.metrics.calibration.logits_of`, probabilities are at least the smallest that float32 tells from 0.

    Args:
        model: From `build_classifier`, or loaded.
        temperature: Temperature of the calibration; 1 leaves the probabilities as they are.

    Returns:
        A model from resized pixels (n, size, size, 3), 0-255, to one probability per class, (n, classes).
    """
    pixels, chain = _layers_after_resizing(model)
    kernel, bias = chain[-1].get_weights()
    if kernel.shape[1] == 1:
        # A sigmoid is a softmax over its logit and 0.
        kernel, bias = (np.concatenate([np.zeros_like(each), each], axis=-1) for each in (kernel, bias))
    output = keras.layers.Dense(kernel.shape[1], dtype="float32", name="logits")
    logits = keras.ops.log_softmax(output(_apply(pixels, chain[:-1])))
    floored = keras.ops.maximum(logits, float(np.log(np.finfo(np.float32).eps)))
    scaled = keras.Model(pixels, keras.ops.softmax(floored / temperature))
    output.set_weights([kernel, bias])
    return scaled


def to_probabilities(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """Converts a classifier's output to one probability per class.

    Args:
        output: (n, 1) of a sigmoid, or (n, classes) of a softmax.

    Returns:
        (n, classes), each row adding up to 1.

    Raises:
        HeadstartError: If a row has NaN, a value outside [0, 1], or does not add up to 1.
    """
    wide = output.astype(np.float64)
    if wide.shape[1] == 1:
        wide = np.concatenate([1 - wide, wide], axis=1)
    with np.errstate(invalid="ignore"):
        # NaN compares as False.
        valid = (wide >= -_ROUNDING) & (np.abs(wide.sum(axis=1, keepdims=True) - 1) <= _ROUNDING)
    if not valid.all():
        raise HeadstartError(
            "the network gives no probabilities for an image, but NaN or numbers that do not add up to 1: its "
            "weights are damaged, or it is not a classifier of this program; train the model again, or use another"
        )
    return wide


def freeze_batchnorm(model: keras.Model) -> None:
    """Freezes every BatchNormalization of a model: weights and statistics stay, and it runs in inference mode.

    Calling a model with `training=False` does not do this in Keras 3: `fit` passes `training=True` to every layer of
    a functional model, nested ones included.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
        elif isinstance(layer, keras.Model):
            freeze_batchnorm(layer)


def _preprocess(pixels: keras.KerasTensor, preprocessing: Preprocessing) -> keras.KerasTensor:
    layers, name = keras.layers, PREPROCESS
    match preprocessing:
        case "none":
            return pixels
        case "tf":
            return layers.Rescaling(1 / 127.5, offset=-1.0, name=name)(pixels)
        case "tf128":
            return layers.Rescaling(1 / 128, offset=-1.0, name=name)(pixels)
        case "torch":
            return layers.Normalization(mean=_IMAGENET_MEAN_RGB, variance=_IMAGENET_VARIANCE_RGB, name=name)(pixels)
        case "unit":
            return layers.Rescaling(1 / 255, name=name)(pixels)
        case "caffe":
            bgr = keras.ops.flip(pixels, axis=-1)
            return layers.Normalization(mean=_IMAGENET_MEAN_BGR, variance=(1.0, 1.0, 1.0), name=name)(bgr)


def _layers_after_resizing(model: keras.Model) -> tuple[Any, list[keras.Operation]]:
    """An input of resized pixels, and the operations that follow the resizing."""
    resized = model.get_layer(RESIZE)
    pixels = keras.Input((resized.height, resized.width, 3), name="pixels")
    return pixels, model.operations[model.operations.index(resized) + 1 :]


def _cut_chain(model: keras.Model, base_name: str, point: str) -> tuple[keras.Model, list[keras.Operation]]:
    """The front below a cut point, and the operations after it: rest of the backbone, if any, pooling, head."""
    chain = model.operations
    names = [operation.name for operation in chain]
    start, base_at = names.index(RESIZE) + 1, names.index(base_name)
    base = chain[base_at]
    if point == BACKBONE_END:
        return _chain_model(base.input, chain[start : base_at + 2]), chain[base_at + 2 :]
    tensor = _waist_below(base, _position(base, point))
    front = _chain_model(base.input, [*chain[start:base_at], keras.Model(base.input, tensor)])
    return front, [keras.Model(tensor, base.output), *chain[base_at + 1 :]]


def _chain_model(like: keras.KerasTensor, chain: list[keras.Operation]) -> keras.Model:
    """A model of consecutive operations whose input has the shape of `like`."""
    start = keras.Input(like.shape[1:])
    return keras.Model(start, _apply(start, chain))


def _short_name(base: keras.Model, operation: keras.Operation) -> str:
    return str(operation.name).removeprefix(f"{base.name}_")


def _position(base: keras.Model, point: str) -> int:
    """Index of the first operation of a backbone that a cut point names."""
    names = [_short_name(base, operation) for operation in base.operations]
    if point == ALL:
        return 1
    blocks = [block for block in get_blocks(base) if block != STEM]
    ends = {TOP: blocks[-1], TOP_THIRD: blocks[-math.ceil(len(blocks) / 3)]} if blocks else {}
    exact = (_coarsest_block(base) or ends.get(TOP_THIRD, point)) if point == COARSEST else ends.get(point, point)
    exact = exact.removeprefix(f"{base.name}_")
    if exact in names[1:]:
        return names.index(exact)
    # A prefix may name several blocks: block6 is block6a and those after it.
    prefix = re.compile(rf"{re.escape(exact)}[a-z]?_")
    for at, name in enumerate(names[1:], start=1):
        if prefix.match(name):
            return at
    raise HeadstartError(
        f"backbone {base.name} has no layer or block {point!r}; unfreeze from {ALL}, {COARSEST}, {TOP_THIRD}, {TOP}, "
        f"{', '.join(blocks)}, or the name of a layer"
    )


def _coarsest_block(base: keras.Model) -> str:
    """The block in which the feature map becomes as coarse as the last one; empty if it is the stem, or none does.

    The maps of a transformer are all alike: after the patches there are only tokens.
    """
    if any(len(getattr(operation.output, "shape", ())) == 3 for operation in base.operations):
        return ""
    sides = {
        operation.name: operation.output.shape[1]
        for operation in base.operations
        if len(getattr(operation.output, "shape", ())) == 4 and (operation.output.shape[1] or 0) > 1
    }
    last = [*sides.values()][-1] if sides else 0
    finer = {name for name, side in sides.items() if side > last}
    names = [operation.name for operation in base.operations]
    after = max((names.index(name) for name in finer), default=0) + 1
    above = set(names[after:])
    blocks = get_blocks(base).items()
    return next((block for block, layers in blocks if block != STEM and above & {each.name for each in layers}), "")


def _waist_below(base: keras.Model, position: int) -> keras.KerasTensor:
    """The last tensor that everything passes through and that is below all weights from a position on."""
    operations = base.operations
    with_weights = [at for at in range(position, len(operations)) if getattr(operations[at], "weights", [])]
    if not with_weights:
        raise HeadstartError(
            f"backbone {base.name} has no weights to train from {operations[position].name!r} on; unfreeze from a "
            f"layer before it, or one of {', '.join(get_blocks(base))}"
        )
    nodes = [operation._inbound_nodes[0] for operation in operations]
    last_use = {id(tensor): at for at, node in enumerate(nodes) for tensor in node.input_tensors}
    waist, reach = 0, 0
    for at in range(with_weights[0]):
        # No earlier output is used later on, so everything passes through this one.
        if reach <= at:
            waist = at
        reach = max(reach, *(last_use.get(id(tensor), at) for tensor in nodes[at].outputs))
    return nodes[waist].outputs[0]


def _apply(tensor: Any, chain: list[keras.Operation]) -> Any:
    for operation in chain:
        tensor = operation(tensor)
    return tensor
