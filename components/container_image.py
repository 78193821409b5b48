"""The container image that components run in: `headstart` with the version as its tag, or the one that is set."""

import os
import re
import sys
import warnings
from collections.abc import Sequence

from headstart import __version__
from headstart.components.core.util.errors import HeadstartError

IMAGE_VARIABLE = "HEADSTART_IMAGE"
REGISTRY_VARIABLE = "HEADSTART_REGISTRY"

_chosen = ("", "")
"""Image and registry given to `use_image`."""

_COMPONENT_MODULE = re.compile(r"headstart\.components\.(?P<component>\w+)\.component")


def name_image(image: str, registry: str = "") -> str:
    """Full name of an image: with the registry, and with this version where there is no tag.

    Args:
        image: Image, such as ``headstart`` or ``registry.example/team/headstart:1``.
        registry: Registry before a name without a slash; empty: none.
    """
    if "/" not in image and registry:
        image = f"{registry.rstrip('/')}/{image}"
    return image if re.search(r"[:@][^/]*$", image) else f"{image}:{__version__}"


def refuse_latest(image: str) -> str:
    """Returns an image unchanged.

    Raises:
        ValueError: If its tag is ``latest``.
    """
    if image.endswith(":latest"):
        raise ValueError(
            f"{image} may be another image tomorrow; name a version, or leave the tag out for this version"
        )
    return image


def describe_missing_registry(images: Sequence[str], way_out: str) -> str:
    """A warning of images without a registry; empty if every one has a registry.

    Args:
        images: Full names of images.
        way_out: Way to name a registry, such as ``--registry``.
    """
    local = [image for image in images if "/" not in image]
    if not local:
        return ""
    return (
        f"no registry is named before {' and '.join(local)}: a node without the image looks for it on Docker Hub; "
        f"name your registry with {way_out}"
    )


def component_image() -> str:
    """Full name of the image of the components, as `use_image` or the environment sets it.

    Raises:
        HeadstartError: If its tag is ``latest``.
    """
    image, registry = _chosen
    image = image or os.environ.get(IMAGE_VARIABLE) or "headstart"
    try:
        return name_image(refuse_latest(image), registry or os.environ.get(REGISTRY_VARIABLE, ""))
    except ValueError as error:
        raise HeadstartError(f"image: {error}") from None


def use_image(image: str = "", registry: str = "") -> str:
    """Sets the container image of all components, those that are imported already and those imported later.

    Call it before a pipeline is defined, since a task takes the image when it is made. A single task may have another
    one by KFP's `set_container_image`. A name without a registry is a warning: on a cluster, nodes would look for it
    on Docker Hub.

    Args:
        image: Image of all components; without a tag, the one of this version. Empty: the value of the environment
            variable ``HEADSTART_IMAGE``, or else ``headstart``.
        registry: Registry before an image without a slash, such as ``registry.example/team``. Empty: the value of
            ``HEADSTART_REGISTRY``, or else none.

    Returns:
        The full name of the image.

    Raises:
        HeadstartError: If its tag is ``latest``.
    """
    global _chosen
    before, _chosen = _chosen, (image, registry)
    try:
        name = component_image()
    except HeadstartError:
        _chosen = before
        raise
    for module_name, module in list(sys.modules.items()):
        if found := _COMPONENT_MODULE.fullmatch(module_name):
            getattr(module, found["component"]).component_spec.implementation.container.image = name
    if warning := describe_missing_registry([name], f"use_image(registry=…) or {REGISTRY_VARIABLE}"):
        warnings.warn(warning, stacklevel=2)
    return name
