"""Networks of the user's own as backbones: finding the file, and checking it before TensorFlow is started."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.model import LARGEST_IMAGE
from headstart.components.core.backbones.table import Backbone
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.storage.cached_download import open_pretrained_file
from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home

OWN_WAY_OUT = (
    "pass a .keras file of Keras' own layers that takes square RGB images and ends with a feature map or a vector of "
    "features"
)

_DEFAULT_SIZE = 224
"""Image size of a network that takes any, in pixels."""

_SCALING_LAYERS = ("Rescaling", "Normalization")
_NESTED = ("Functional", "Sequential")
_BEFORE_SCALING = ("InputLayer", "Resizing", "CenterCrop", "Cropping2D", "ZeroPadding2D", "Identity")


@dataclasses.dataclass(frozen=True)
class OwnNetwork:
    """Facts about a network of the user's own, from the configuration in its file.

    Attributes:
        image_size: Side in pixels of the images that it takes; 0: any.
        scales: Whether it scales pixels itself: by a layer before the first with weights.
        has_attention: Whether a layer of it is a `MultiHeadAttention`.
    """

    image_size: int
    scales: bool
    has_attention: bool


@contextlib.contextmanager
def open_own_network(backbone: Backbone, sha256: str = "") -> Iterator[Path]:
    """Finds the file of a network of the user's own, downloaded and cached if it has an address.

    Args:
        backbone: Row of `get_backbone` with a file.
        sha256: Checksum that it must have, in hexadecimal; empty: any.

    Raises:
        HeadstartError: If there is no such file, it cannot be downloaded, or has another checksum.
    """
    if not is_remote(backbone.file) and not expand_home(backbone.file).is_file():
        raise HeadstartError(f"backbone {backbone.file!r}: no such file; {OWN_WAY_OUT}")
    with open_pretrained_file(backbone.file, sha256.lower(), OWN_WAY_OUT) as file:
        yield file


def describe_own_network(backbone: Backbone) -> str:
    """Name of a network of the user's own in messages."""
    return f"backbone {without_secrets(backbone.file)!r}"


def check_own_network(file: Path, backbone: Backbone, recipe: Recipe) -> int:
    """Checks what the configuration of a network tells; it is not built.

    Args:
        file: `.keras` file.
        backbone: Its row.
        recipe: Recipe that it is used with.

    Returns:
        Side of its images in pixels.

    Raises:
        HeadstartError: If it is not a `.keras` file or is damaged, has layers that are not Keras' own, does not take
            square RGB images, takes those of another size only, neither it nor the recipe scales pixels, or LoRA is
            asked of one without attention.
    """
    what = describe_own_network(backbone)
    network = _read_own_network(file, what)
    wanted = recipe.image_size or network.image_size or _DEFAULT_SIZE
    if network.image_size not in (0, wanted):
        raise HeadstartError(
            f"image size {wanted}: {what} takes images of {network.image_size} x {network.image_size} pixels only; "
            "leave the image size out, or save the network with an input of (None, None, 3)"
        )
    if wanted > LARGEST_IMAGE:
        raise HeadstartError(f"image size {wanted} of {what}: more than {LARGEST_IMAGE} pixels; save a smaller one")
    if recipe.scaling == "backbone" and not network.scales:
        raise HeadstartError(
            f"{what} has no Rescaling or Normalization before its first weights, so the scaling of its pixels is "
            "unknown; state the one it was trained with: --set scaling=none (0 to 255), tf (-1 to 1), unit (0 to 1), "
            "torch, caffe or tf128"
        )
    recipe.check_method(what, network.has_attention)
    return wanted


def _read_own_network(file: Path, what: str) -> OwnNetwork:
    # Few commands have such a network, and all would import h5py.
    from headstart.components.core.artifacts.keras_file import read_network_config

    config = read_network_config(file, what, OWN_WAY_OUT)
    layers = list(_list_layers(config))
    inputs = [each for each in layers if each.get("class_name") == "InputLayer"]
    named = _names_of_ends(config["config"].get("input_layers"))
    outer = [each for each in inputs if _settings(each).get("name") in named] if named else inputs[:1]
    shapes = [_settings(each).get("batch_shape") for each in outer] or [
        config["config"].get("build_input_shape") or config.get("build_config", {}).get("input_shape")
    ]
    match shapes:
        case [[None, int() | None as height, int() | None as width, 3]] if height == width and height != 0:
            attention = any(each.get("class_name") == "MultiHeadAttention" for each in layers)
            return OwnNetwork(height or 0, _scales(layers), attention)
    taken = " and ".join(_describe_shape(each) for each in shapes)
    raise HeadstartError(f"{what} takes {taken}, not one square RGB image (height, width, 3); {OWN_WAY_OUT}")


def _list_layers(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Configurations of the layers in the order of the graph, those of nested networks in their place."""
    inner = config.get("config")
    for layer in inner.get("layers", []) if isinstance(inner, dict) else []:
        if not isinstance(layer, dict):
            continue
        if layer.get("class_name") in _NESTED:
            yield from _list_layers(layer)
        else:
            yield layer


def _settings(layer: dict[str, Any]) -> dict[str, Any]:
    settings = layer.get("config")
    return settings if isinstance(settings, dict) else {}


def _names_of_ends(ends: Any) -> list[str]:
    """Names of the input layers: the file has one as [name, 0, 0], and several as a list or a mapping of these."""
    match ends:
        case [str() as name, int(), int()]:
            return [name]
        case list():
            return [name for each in ends for name in _names_of_ends(each)]
        case dict():
            return [name for each in ends.values() for name in _names_of_ends(each)]
    return []


def _scales(layers: list[dict[str, Any]]) -> bool:
    for layer in layers:
        kind, module = layer.get("class_name"), str(layer.get("module"))
        if kind in _SCALING_LAYERS:
            return True
        if kind not in _BEFORE_SCALING and ".ops" not in module:
            return False
    return False


def _describe_shape(shape: Any) -> str:
    if not isinstance(shape, list):
        return "an input of unknown shape"
    return f"({', '.join('any' if each is None else str(each) for each in shape[1:])})"
