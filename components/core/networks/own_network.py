"""Networks of the user's own as backbones: a `.keras` file is loaded, and the part up to its features is rebuilt."""

import tempfile
from pathlib import Path

import keras

from headstart.components.core.artifacts.keras_file import NetworkFile, count_values, read_network_config
from headstart.components.core.backbones.table import OWN_SUFFIX, Backbone
from headstart.components.core.networks.graph_copy import GraphCopy
from headstart.components.core.networks.saving import load_network
from headstart.components.core.recipes.own_network import OWN_WAY_OUT, describe_own_network
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event

AS_MAP = "features_as_map"
"""Name of the layer that makes a map of one position of a vector of features."""

_FEWEST_FEATURES = 2
_LIKELIHOODS = (keras.activations.softmax, keras.activations.sigmoid)
_PASSED_OVER = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.GlobalAveragePooling2D)
"""Layers at the end that the head has itself, or that it trains better without."""


def build_own_network(file: Path, backbone: Backbone, image_size: int) -> keras.Model:
    """Builds a backbone from a `.keras` file.

    The network ends at its last feature map, if only pooling, flattening, dropout and a classifier follow it; these
    are left out. If other layers follow, it ends with the vector of features before the classifier, as a map of one
    position. Nested networks are taken apart, so that it can be cut in any of their layers; a layer that is used
    twice becomes two.

    Args:
        file: `.keras` file whose configuration has been checked, of any name.
        backbone: Its row, which has a name for it.
        image_size: Side of the input in pixels, which the network takes.

    Returns:
        A network from pixels (n, size, size, 3) to a feature map.

    Raises:
        HeadstartError: If Keras cannot load it or build it for this image size, it is larger than its weights, or it
            gives neither a map nor a vector of features.
    """
    what = describe_own_network(backbone)
    facts = NetworkFile(read_network_config(file, what, OWN_WAY_OUT), count_values(file, what, OWN_WAY_OUT))
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        # Keras goes by the name, and files in the cache have none.
        link = Path(folder) / f"network{OWN_SUFFIX}"
        link.symlink_to(file.absolute())
        network = load_network(link, what, facts, OWN_WAY_OUT)
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    try:
        outputs = keras.tree.flatten(GraphCopy().apply(network, pixels))
    except Exception as error:
        # Each layer raises errors of its own for a map that is too small.
        raise HeadstartError(
            f"{what} cannot be built for images of {image_size} x {image_size} pixels ({first_line(error)}); "
            "pass another image size"
        ) from None
    if len(outputs) != 1:
        raise HeadstartError(f"{what} has {len(outputs)} outputs, and a backbone has one; {OWN_WAY_OUT}")
    features = _find_features(outputs[0])
    _check_features(features.shape[1:], features.dtype, image_size, what)
    event("own_network", backbone=backbone.name, output=_describe(features), file_ends_with=_describe(outputs[0]))
    if len(features.shape) == 2:
        features = keras.layers.Reshape((1, 1, features.shape[1]), name=AS_MAP)(features)
    return keras.Model(pixels, features, name=backbone.name)


def _find_features(output: keras.KerasTensor) -> keras.KerasTensor:
    """The last feature map, if nothing but pooling and a classifier follow it, else the classifier's input."""
    tensor, is_likelihood = output, False
    while len(tensor.shape) != 4:
        operation, node, _ = tensor._keras_history
        inputs = operation._inbound_nodes[node].input_tensors
        if len(inputs) != 1:
            break
        is_dense = isinstance(operation, keras.layers.Dense)
        is_likelihood |= isinstance(operation, keras.layers.Softmax)
        is_likelihood |= getattr(operation, "activation", None) in _LIKELIHOODS
        if not (is_likelihood or isinstance(operation, _PASSED_OVER)):
            break
        tensor = inputs[0]
        is_likelihood &= not is_dense
    return tensor


def _check_features(shape: tuple[int | None, ...], dtype: str, image_size: int, what: str) -> None:
    match shape:
        case (int() as height, int(), int() as width):
            fits = height < image_size and width >= _FEWEST_FEATURES
        case (int() as width,):
            fits = width >= _FEWEST_FEATURES
        case _:
            fits = False
    if not (fits and "float" in dtype):
        described = ", ".join(map(str, shape))
        raise HeadstartError(
            f"{what} gives ({described}) of {dtype} for an image, which is no feature map coarser than the image and "
            f"no vector of features; {OWN_WAY_OUT}"
        )


def _describe(tensor: keras.KerasTensor) -> str:
    return f"{tensor._keras_history.operation.name}:{'x'.join(map(str, tensor.shape[1:]))}"
