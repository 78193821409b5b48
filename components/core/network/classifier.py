"""The classifier: a chain of standard Keras layers from pixels to probabilities, and where to cut it.

    image (any size, RGB 0-255) -> resize -> preprocessing -> backbone -> head

The backbone is one layer of the chain. A cut at a layer inside it gives a front, which stays as it is and can be
recorded once, and a tail, which is trained on the record. Both share their weights with the whole. The chain is
walked by `operations`, since turning the colours round is an operation of Keras that is no layer.
"""

import dataclasses
import importlib
import inspect
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.backbones import Backbone, Head
from headstart.components.core.errors import HeadstartError

RESIZE = "resize"
BACKBONE_END = "backbone end"

# keras.applications.imagenet_utils, mode "caffe": blue, green, red.
_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


def build_backbone(backbone: Backbone, image_size: int, weights: str | None = None) -> keras.Model:
    """The backbone alone: preprocessed pixels (n, size, size, 3) to a feature map.

    Args:
        backbone: A row of the table.
        image_size: Side of the input in pixels.
        weights: Passed to `keras.applications`; None gives random weights.
    """
    module, _, function = backbone.constructor.partition(":")
    constructor = getattr(importlib.import_module(module), function)
    arguments: dict[str, Any] = {"input_shape": (image_size, image_size, 3)}
    if "include_top" in inspect.signature(constructor).parameters:
        arguments |= {"include_top": False, "weights": weights, "name": backbone.name}
    return constructor(**arguments)


def build_classifier(base: keras.Model, preprocessing: str, head: Head, classes: int, image_size: int) -> keras.Model:
    """The whole chain on top of a backbone.

    Args:
        base: A feature extractor for (n, size, size, 3).
        preprocessing: ``tf`` or ``caffe``, see `Backbone`.
        head: The classifier's shape.
        classes: Two give one sigmoid unit (the probability of the second class), more give a softmax.
        image_size: Side in pixels that images are resized to.

    Returns:
        A model from float32 RGB pixels 0-255, (n, height, width, 3), to (n, 1) or (n, classes).
    """
    layers = keras.layers
    pixels = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(image_size, image_size, antialias=True, name=RESIZE)(pixels)
    if preprocessing == "tf":
        x = layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(x)
    else:
        x = keras.ops.flip(x, axis=-1)
        x = layers.Normalization(mean=_IMAGENET_MEAN_BGR, variance=(1.0, 1.0, 1.0), name="preprocess")(x)
    x = base(x)
    pooling = layers.GlobalAveragePooling2D if head.pooling == "average" else layers.Flatten
    x = pooling(name="pool")(x)
    if head.hidden_units:
        x = layers.Dense(head.hidden_units, activation="relu", name="hidden")(x)
    if head.dropout:
        x = layers.Dropout(head.dropout, name="dropout")(x)
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return keras.Model(pixels, layers.Dense(units, activation=activation, name="output")(x))


@dataclasses.dataclass(frozen=True)
class Parts:
    """A classifier cut in two, sharing its weights.

    Attributes:
        front: Resized pixels (n, size, size, 3), 0-255, to the activations at the cut.
        tail: Activations at the cut to the classifier's output.
        size: Side of the resized pixels.
    """

    front: keras.Model
    tail: keras.Model
    size: int


def cut(model: keras.Model, base_name: str, point: str) -> Parts:
    """Cuts a classifier before a layer of its backbone, or after all of it and the pooling.

    Args:
        model: From `build_classifier`, or loaded.
        base_name: Name of the backbone's layer in the chain.
        point: A layer of the backbone, a block's name (``block_13`` stands for the first layer that begins with
            ``block_13_``), or `BACKBONE_END`.

    Raises:
        HeadstartError: There is no such layer, or more than one tensor crosses the cut.
    """
    chain = model.operations
    names = [operation.name for operation in chain]
    start, base_at = names.index(RESIZE) + 1, names.index(base_name)
    base = chain[base_at]
    if point == BACKBONE_END:
        front_layers, tail_layers = chain[start : base_at + 2], chain[base_at + 2 :]
    else:
        tensor = _first_layer(base, point).input
        try:
            upper = keras.Model(tensor, base.output)
        except ValueError:
            raise HeadstartError(
                f"cannot unfreeze {base_name} from {point!r}: a shortcut passes around it; {_known_points(base)}"
            ) from None
        front_layers = [*chain[start:base_at], keras.Model(base.input, tensor)]
        tail_layers = [upper, *chain[base_at + 1 :]]
    pixels = keras.Input(base.input.shape[1:])
    front = keras.Model(pixels, _through(pixels, front_layers))
    activations = keras.Input(front.output.shape[1:])
    return Parts(front, keras.Model(activations, _through(activations, tail_layers)), pixels.shape[1])


def after_resize(model: keras.Model) -> keras.Model:
    """The classifier without its resizing, for batches of images that have been resized already.

    Returns:
        A model from resized pixels (n, size, size, 3), 0-255, to the classifier's output.
    """
    resized = model.get_layer(RESIZE)
    pixels = keras.Input((resized.height, resized.width, 3))
    chain = model.operations
    return keras.Model(pixels, _through(pixels, chain[chain.index(resized) + 1 :]))


def probabilities(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """One probability per class, (n, classes), from a sigmoid's (n, 1) or a softmax's (n, classes)."""
    wide = output.astype(np.float64)
    return np.concatenate([1 - wide, wide], axis=1) if wide.shape[1] == 1 else wide


def freeze_batch_norm(model: keras.Model) -> None:
    """Keeps every BatchNormalization of a model in inference mode, weights and statistics alike.

    Calling a base with `training=False` does not do this in Keras 3: `fit` passes `training=True` to every layer
    of a functional model, nested ones too. `trainable = False` on the layer does.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
        elif isinstance(layer, keras.Model):
            freeze_batch_norm(layer)


def _first_layer(base: keras.Model, point: str) -> keras.Layer:
    for layer in base.layers[1:]:
        if layer.name == point or layer.name.startswith(point + "_"):
            return layer
    raise HeadstartError(f"backbone {base.name} has no layer or block {point!r}; {_known_points(base)}")


def _known_points(base: keras.Model) -> str:
    blocks = dict.fromkeys(layer.name.rpartition("_")[0] for layer in base.layers[1:] if layer.weights)
    return f"one can unfreeze from {', '.join(block for block in blocks if block)}"


def _through(tensor: Any, chain: list[keras.Operation]) -> Any:
    for operation in chain:
        tensor = operation(tensor)
    return tensor
