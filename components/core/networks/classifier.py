"""The classifier: a chain of standard Keras layers from pixels to probabilities, and where to cut it.

    image (any size, RGB 0-255) -> resize -> preprocessing -> backbone -> head

The backbone is one layer of the chain. A cut at a layer inside it gives a front, which stays as it is and can be
recorded once, and a tail, which is trained on the record. Both share their weights with the whole. The chain is
walked by `operations`, since turning the colours round is an operation of Keras that is no layer.
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
from headstart.components.core.backbones.table import BACKBONES, Backbone, Head, Preprocessing
from headstart.components.core.util.errors import HeadstartError

RESIZE = keras_file.RESIZE
PREPROCESS = "preprocess"
BACKBONE_END = "backbone end"

ALL, TOP, TOP_THIRD = "all", "top", "top_third"
"""Points of every backbone: its first layer, its last block, and the first of the last third of its blocks."""

STEM = "stem"

_ROUNDING = 1e-2
"""How far probabilities may be from adding up to 1: ten times what sixteen bits lose over a thousand classes."""

# keras.applications.imagenet_utils: mode "caffe", blue, green, red; mode "torch", red, green, blue.
_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
_IMAGENET_MEAN_RGB = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_VARIANCE_RGB = ((0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2)


def build_backbone(backbone: Backbone, image_size: int, weights: str | None = None) -> keras.Model:
    """The backbone alone: preprocessed pixels (n, size, size, 3) to a feature map.

    Args:
        backbone: A row of the table.
        image_size: Side of the input in pixels.
        weights: Passed to `keras.applications`; None gives random weights.
    """
    module, _, function = backbone.constructor.partition(":")
    constructor = getattr(importlib.import_module(module), function)
    accepted = inspect.signature(constructor).parameters
    wanted = {"include_top": False, "weights": weights, "include_preprocessing": False}
    base = constructor(
        input_shape=(image_size, image_size, 3), **{name: value for name, value in wanted.items() if name in accepted}
    )
    # EfficientNetV2 looks up its sizes by its name, so it cannot be called otherwise from the start.
    return keras.Model(base.input, base.output, name=backbone.name)


def build_classifier(
    base: keras.Model, preprocessing: Preprocessing, head: Head, classes: int, image_size: int
) -> keras.Model:
    """The whole chain on top of a backbone.

    Args:
        base: A feature extractor for (n, size, size, 3).
        preprocessing: What it expects of pixels.
        head: The classifier's shape.
        classes: Two give one sigmoid unit (the probability of the second class), more give a softmax.
        image_size: Side in pixels that images are resized to.

    Returns:
        A model from float32 RGB pixels 0-255, (n, height, width, 3), to (n, 1) or (n, classes).
    """
    layers = keras.layers
    pixels = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(image_size, image_size, antialias=True, name=RESIZE)(pixels)
    x = _preprocessed(x, preprocessing)
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
    """A classifier cut in two, sharing its weights.

    Attributes:
        front: Resized pixels (n, size, size, 3), 0-255, to the activations at the cut.
        tail: Activations at the cut to the classifier's output.
        size: Side of the resized pixels.
    """

    front: keras.Model
    tail: keras.Model
    size: int


def cut_classifier(model: keras.Model, base_name: str, point: str) -> ClassifierParts:
    """Cuts a classifier below a point of its backbone, or after all of it and the pooling.

    Where branches run side by side at the point, the cut is below all of them: it goes through the last tensor
    below the point that everything passes through.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: The first layer of the backbone above the cut: its name, or what the names of a block's layers begin
            with (``block_13``; of several blocks, ``conv5``), the backbone's own name left out; or `ALL`, `TOP`,
            `TOP_THIRD`; or `BACKBONE_END`.

    Raises:
        HeadstartError: There is no such layer, or it has no weights and none come after it.
    """
    front, tail = _sides(model, base_name, point)
    return ClassifierParts(front, _chained(front.output, tail), front.input.shape[1])


def cut_backbone(model: keras.Model, base_name: str, point: str) -> tuple[keras.Model, keras.Model]:
    """The way from resized pixels to `BACKBONE_END`, in two: up to the cut below a point, and from there on.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: See `cut_classifier`; not `BACKBONE_END`.

    Raises:
        HeadstartError: There is no such layer, or it has no weights and none come after it.
    """
    front, tail = _sides(model, base_name, point)
    return front, _chained(front.output, tail[:2])


def unfreeze(model: keras.Model, base_name: str, point: str) -> ClassifierParts:
    """Makes a backbone trainable from a point on, in the order of its layers, and cuts the classifier below it.

    BatchNormalization stays frozen. Layers above the cut that come before the point do, too.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: See `cut_classifier`.

    Raises:
        HeadstartError: There is no such layer, or it has no weights and none come after it.
    """
    base = model.get_layer(base_name)
    parts = cut_classifier(model, base_name, point)
    # Set on the whole classifier, it would not reach the backbone: Keras skips what is trainable already.
    base.trainable = True
    for operation in base.operations[: _position(base, point)]:
        if isinstance(operation, keras.Layer):
            operation.trainable = False
    freeze_batchnorm(base)
    return parts


def get_blocks(base: keras.Model) -> dict[str, list[keras.Layer]]:
    """The blocks of a backbone with their layers, from the input up; `STEM` for what comes before the first."""
    pattern = re.compile(BACKBONES[base.name].blocks)
    blocks: dict[str, list[keras.Layer]] = {STEM: []}
    name = STEM
    for layer in base.layers[1:]:
        found = pattern.match(_short_name(base, layer))
        name = found[0] if found else name
        blocks.setdefault(name, []).append(layer)
    return blocks


def remove_resizing(model: keras.Model) -> keras.Model:
    """The classifier without its resizing, for batches of images that have been resized already.

    Returns:
        A model from resized pixels (n, size, size, 3), 0-255, to the classifier's output.
    """
    pixels, chain = _resized(model)
    return keras.Model(pixels, _through(pixels, chain))


def add_temperature_scaling(model: keras.Model, temperature: float) -> keras.Model:
    """The classifier without its resizing, its logits divided by a temperature: one network for other runtimes.

    As in `core.metrics.calibration.logits_of`, no class is less likely than float32 can tell from 0.

    Args:
        model: From `build_classifier`, or loaded.
        temperature: From the calibration; 1 leaves the probabilities as they are.

    Returns:
        A model from resized pixels (n, size, size, 3), 0-255, to one probability per class, (n, classes).
    """
    pixels, chain = _resized(model)
    kernel, bias = chain[-1].get_weights()
    if kernel.shape[1] == 1:
        # A sigmoid is a softmax over its logit and 0.
        kernel, bias = (np.concatenate([np.zeros_like(each), each], axis=-1) for each in (kernel, bias))
    output = keras.layers.Dense(kernel.shape[1], dtype="float32", name="logits")
    logits = keras.ops.log_softmax(output(_through(pixels, chain[:-1])))
    floored = keras.ops.maximum(logits, float(np.log(np.finfo(np.float32).eps)))
    scaled = keras.Model(pixels, keras.ops.softmax(floored / temperature))
    output.set_weights([kernel, bias])
    return scaled


def to_probabilities(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """One probability per class, (n, classes), from a sigmoid's (n, 1) or a softmax's (n, classes).

    Raises:
        HeadstartError: If a row has NaN, a value outside [0, 1], or does not add up to 1.
    """
    wide = output.astype(np.float64)
    if wide.shape[1] == 1:
        wide = np.concatenate([1 - wide, wide], axis=1)
    with np.errstate(invalid="ignore"):
        # What is no number is within nothing.
        right = (wide >= -_ROUNDING) & (np.abs(wide.sum(axis=1, keepdims=True) - 1) <= _ROUNDING)
    if not right.all():
        raise HeadstartError(
            "the network gives no probabilities for an image, but NaN or numbers that do not add up to 1: its "
            "weights are damaged, or it is no classifier of ours; train the model again, or use another one"
        )
    return wide


def freeze_batchnorm(model: keras.Model) -> None:
    """Keeps every BatchNormalization of a model in inference mode, weights and statistics alike.

    Calling a base with `training=False` does not do this in Keras 3: `fit` passes `training=True` to every layer
    of a functional model, nested ones too. `trainable = False` on the layer does.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
        elif isinstance(layer, keras.Model):
            freeze_batchnorm(layer)


def _preprocessed(pixels: keras.KerasTensor, preprocessing: Preprocessing) -> keras.KerasTensor:
    layers, name = keras.layers, PREPROCESS
    match preprocessing:
        case "tf":
            return layers.Rescaling(1 / 127.5, offset=-1.0, name=name)(pixels)
        case "tf128":
            return layers.Rescaling(1 / 128, offset=-1.0, name=name)(pixels)
        case "torch":
            return layers.Normalization(mean=_IMAGENET_MEAN_RGB, variance=_IMAGENET_VARIANCE_RGB, name=name)(pixels)
        case "unit":
            return layers.Rescaling(1 / 255, name=name)(pixels)
        case "caffe":
            turned = keras.ops.flip(pixels, axis=-1)
            return layers.Normalization(mean=_IMAGENET_MEAN_BGR, variance=(1.0, 1.0, 1.0), name=name)(turned)


def _resized(model: keras.Model) -> tuple[Any, list[keras.Operation]]:
    resized = model.get_layer(RESIZE)
    pixels = keras.Input((resized.height, resized.width, 3), name="pixels")
    return pixels, model.operations[model.operations.index(resized) + 1 :]


def _sides(model: keras.Model, base_name: str, point: str) -> tuple[keras.Model, list[keras.Operation]]:
    """The front below a point, and what comes after it; inside the backbone, its rest and the pooling first."""
    chain = model.operations
    names = [operation.name for operation in chain]
    start, base_at = names.index(RESIZE) + 1, names.index(base_name)
    base = chain[base_at]
    if point == BACKBONE_END:
        return _chained(base.input, chain[start : base_at + 2]), chain[base_at + 2 :]
    tensor = _waist_below(base, _position(base, point))
    front = _chained(base.input, [*chain[start:base_at], keras.Model(base.input, tensor)])
    return front, [keras.Model(tensor, base.output), *chain[base_at + 1 :]]


def _chained(like: keras.KerasTensor, chain: list[keras.Operation]) -> keras.Model:
    """A model of operations that follow each other, from an input of the shape of a tensor."""
    begin = keras.Input(like.shape[1:])
    return keras.Model(begin, _through(begin, chain))


def _short_name(base: keras.Model, operation: keras.Operation) -> str:
    return str(operation.name).removeprefix(f"{base.name}_")


def _position(base: keras.Model, point: str) -> int:
    """Place among the operations of a backbone of the first that a point stands for."""
    names = [_short_name(base, operation) for operation in base.operations]
    if point == ALL:
        return 1
    blocks = [block for block in get_blocks(base) if block != STEM]
    exact = {TOP: blocks[-1], TOP_THIRD: blocks[-math.ceil(len(blocks) / 3)]}.get(point, point)
    exact = exact.removeprefix(f"{base.name}_")
    if exact in names[1:]:
        return names.index(exact)
    # Of several blocks the names may go on with a letter: block6 stands for block6a and those after it.
    begins = re.compile(rf"{re.escape(exact)}[a-z]?_")
    for at, name in enumerate(names[1:], start=1):
        if begins.match(name):
            return at
    raise HeadstartError(
        f"backbone {base.name} has no layer or block {point!r}; one can unfreeze from {ALL}, {TOP_THIRD}, {TOP}, "
        f"{', '.join(blocks)}, or a layer by its name"
    )


def _waist_below(base: keras.Model, position: int) -> keras.KerasTensor:
    """The last tensor that everything passes through with all weights from a position on above it."""
    operations = base.operations
    with_weights = [at for at in range(position, len(operations)) if getattr(operations[at], "weights", [])]
    if not with_weights:
        raise HeadstartError(
            f"nothing of backbone {base.name} is left to train from {operations[position].name!r} on; unfreeze from "
            f"a layer before it, or one of {', '.join(get_blocks(base))}"
        )
    nodes = [operation._inbound_nodes[0] for operation in operations]
    last_use = {id(tensor): at for at, node in enumerate(nodes) for tensor in node.input_tensors}
    waist, reach = 0, 0
    for at in range(with_weights[0]):
        # Nothing made before is used any more: whatever comes passes through this operation's output.
        if reach <= at:
            waist = at
        reach = max(reach, *(last_use.get(id(tensor), at) for tensor in nodes[at].outputs))
    return nodes[waist].outputs[0]


def _through(tensor: Any, chain: list[keras.Operation]) -> Any:
    for operation in chain:
        tensor = operation(tensor)
    return tensor
