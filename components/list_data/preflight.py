"""Checks, in a run's first task, of what its last tasks need: a refusal costs seconds there, and hours at the end."""

import dataclasses
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

from headstart.components.core.backbones.hub_families import list_named_presets
from headstart.components.core.backbones.table import NO_WEIGHTS, Backbone, get_backbone
from headstart.components.core.backbones.weights_files import (
    WEIGHTS_FOLDER,
    find_downloaded_weights,
    find_in_weights_folder,
    find_preset_in_weights_folder,
)
from headstart.components.core.recipes.hub_preset import check_hub_preset, open_hub_preset
from headstart.components.core.recipes.own_network import (
    check_own_network,
    describe_own_network,
    open_own_network,
)
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.registry.champion import find_usable_champion
from headstart.components.core.registry.export_formats import check_packages
from headstart.components.core.storage.stores import is_remote, open_store, open_tree, without_secrets
from headstart.components.core.storage.stores.transfer import call_with_retries
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.paths import expand_home

PUBLISH_WHERE_ASKED, PUBLISH_ALWAYS, PUBLISH_NEVER = "asked", "always", "never"
"""When a pipeline publishes: in runs that name an address, in every run, or in none."""

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
# Offsets at which an HDF5 file may begin, after a block of the user's.
_HDF5_OFFSETS = (0, 512, 1024, 2048)
_WEIGHTS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TIMEOUT_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class RunRequirements:
    """Things that a run needs besides its data.

    Attributes:
        trainings: Recipes whose pretrained weights the run loads.
        publish_uri: Folder or address to publish to; empty: none.
        champion: Model artifact to compare with where nothing has been published; empty: none.
        exports: Formats that are published.
        written: Other folders or addresses that the run writes to, by parameter name; empty ones are ignored.
        publishes: When the compiled pipeline publishes: `PUBLISH_WHERE_ASKED`, `PUBLISH_ALWAYS` or `PUBLISH_NEVER`.
        folds: Number of cross-validation folds, in text; ``0``: none.
        has_folds: Whether the compiled pipeline has the tasks of a cross-validation.
    """

    trainings: Sequence[Recipe] = ()
    publish_uri: str = ""
    champion: str = ""
    exports: Sequence[str] = ()
    written: Mapping[str, str] = dataclasses.field(default_factory=dict)
    publishes: str = PUBLISH_WHERE_ASKED
    folds: str = "0"
    has_folds: bool = True


def check_requirements(requirements: RunRequirements) -> None:
    """Refuses a run whose last tasks would fail; it may ask the network, and leaves nothing behind.

    Args:
        requirements: Things that the run needs.

    Raises:
        HeadstartError: If the pipeline lacks the tasks to publish, an export cannot be made here, an address cannot
            be written, weights are missing or no weights file, or the champion cannot be loaded.
    """
    _check_tasks(requirements)
    if requirements.publish_uri:
        check_packages(requirements.exports)
    for name, uri in {**requirements.written, "publish_uri": requirements.publish_uri}.items():
        if uri:
            _check_writable(name, uri)
    for recipe in requirements.trainings:
        # The training image may hold weights that this image lacks.
        if not (os.environ.get(WEIGHTS_FOLDER) and _are_own(recipe)):
            check_weights(recipe)
    champion = find_usable_champion(requirements.publish_uri, requirements.champion)
    event(
        "checked",
        writable=sum(map(bool, (requirements.publish_uri, *requirements.written.values()))),
        champion=bool(champion),
    )


def _check_tasks(requirements: RunRequirements) -> None:
    uri = without_secrets(requirements.publish_uri)
    if requirements.publishes == PUBLISH_NEVER and uri:
        raise HeadstartError(
            f"publish_uri {uri!r}: this pipeline was made for runs that publish nothing and lacks the tasks for it; "
            f"start a new run with headstart submit --publish {uri}"
        )
    if requirements.folds != "0" and not requirements.has_folds:
        raise HeadstartError(
            f"folds {requirements.folds!r}: this pipeline lacks the tasks of a cross-validation; compile it with "
            f"headstart compile --folds, or start a new run with headstart submit --folds {requirements.folds}"
        )
    if requirements.publishes == PUBLISH_ALWAYS and not uri:
        raise HeadstartError(
            "publish_uri is empty, and this pipeline was made for runs that publish; name an address, or start a new "
            "run with headstart submit"
        )


def _check_writable(name: str, uri: str) -> None:
    try:
        open_tree(uri).check_writable()
    except HeadstartError as error:
        raise HeadstartError(f"{name}: {error}") from None


def check_weights(recipe: Recipe) -> None:
    """Refuses pretrained weights that are not on this machine and cannot be downloaded to it, or are no weights file.

    A network of the user's own is checked, too, as far as its configuration tells, if it is on this machine, and of a
    preset the configuration, wherever it is.

    Args:
        recipe: Recipe that names the backbone and its weights.

    Raises:
        HeadstartError: If the weights are one of these.
    """
    backbone, weights = get_backbone(recipe.backbone), recipe.weights
    backbone.check_weights(weights)
    if backbone.preset:
        with open_hub_preset(backbone, with_weights=False) as folder:
            check_hub_preset(folder, backbone, recipe)
    elif backbone.file:
        _check_own_network(backbone, recipe)
    elif _are_own(recipe):
        if backbone.pretrained == "imagenet" and not (weights == "" and find_in_weights_folder(backbone)):
            _check_imagenet_weights(backbone)
    elif weights != NO_WEIGHTS:
        start = _read_beginning(weights)
        if not start.startswith(_ZIP) and not any(start.startswith(_HDF5, place) for place in _HDF5_OFFSETS):
            raise HeadstartError(
                f"weights {without_secrets(weights)!r} of backbone {backbone.name}: this is no HDF5 file and no "
                ".keras file by its first bytes; pass a .weights.h5, .h5 or .keras file, or the address of one"
            )


def _check_own_network(backbone: Backbone, recipe: Recipe) -> None:
    """Checks the file of a network of the user's own; of one at an address only the first bytes are transferred."""
    if not is_remote(backbone.file):
        with open_own_network(backbone, recipe.weights_sha256) as file:
            check_own_network(file, backbone, recipe)
    elif not _read_beginning(backbone.file).startswith(_ZIP):
        raise HeadstartError(
            f"{describe_own_network(backbone)}: this is no .keras file by its first bytes; pass the address of one"
        )


def _are_own(recipe: Recipe) -> bool:
    """Whether the weights are those of a backbone or a preset by its name, which the image of a task may hold."""
    backbone = get_backbone(recipe.backbone)
    if backbone.preset:
        return backbone.preset in list_named_presets() and not find_preset_in_weights_folder(backbone.preset)
    return not backbone.file and recipe.weights in ("", backbone.pretrained)


def _read_beginning(weights: str) -> bytes:
    """Reads the first bytes of a file or an object; the rest is not transferred."""
    size = _HDF5_OFFSETS[-1] + len(_HDF5)
    if not is_remote(weights):
        try:
            with expand_home(weights).open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise HeadstartError(f"weights {weights!r} cannot be read ({error.strerror}); check the file") from None
    store = open_store(weights)

    def download_beginning() -> bytes:
        part = store.open_part(weights, 0, "")
        start = bytearray()
        try:
            for chunk in part.chunks:
                start += chunk
                if len(start) >= size:
                    break
        finally:
            part.close()
        return bytes(start)

    try:
        return call_with_retries(without_secrets(weights), download_beginning)
    except HeadstartError as error:
        raise HeadstartError(f"cannot download weights: {error}") from None


def _check_imagenet_weights(backbone: Backbone) -> None:
    """Checks that Keras has its weights or can download them; only the headers of the download are asked for."""
    if find_downloaded_weights(backbone):
        return
    # The address is a constant of ours.
    request = urllib.request.Request(f"{_WEIGHTS_HOST}{backbone.keras_file}", method="HEAD")  # noqa: S310
    try:
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()  # noqa: S310
    except OSError as error:
        # An HTTP status is one too, such as a proxy's 403.
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        raise HeadstartError(
            f"cannot download the imagenet weights of {backbone.name} ({reason}); pass weights as a file or an "
            "http(s)://, gs:// or s3:// address of a .weights.h5, .h5 or .keras file, or name the folder of such a "
            f"{backbone.name}.weights.h5 in the environment variable {WEIGHTS_FOLDER}; or train the backbone that "
            "comes with its weights: --backbone sketchnet"
        ) from None
