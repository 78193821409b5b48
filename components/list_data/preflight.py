"""Checks, in a run's first task, of what its last tasks need: a refusal costs seconds there, and hours at the end."""

import dataclasses
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from headstart.components.core.backbones.table import NO_WEIGHTS, Backbone, get_backbone
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
    """

    trainings: Sequence[Recipe] = ()
    publish_uri: str = ""
    champion: str = ""
    exports: Sequence[str] = ()
    written: Mapping[str, str] = dataclasses.field(default_factory=dict)
    publishes: str = PUBLISH_WHERE_ASKED


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
        _check_weights(get_backbone(recipe.backbone), recipe.weights)
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


def _check_weights(backbone: Backbone, weights: str) -> None:
    backbone.check_weights(weights)
    if weights in ("", backbone.pretrained):
        if backbone.pretrained == "imagenet":
            _check_imagenet_weights(backbone)
    elif weights != NO_WEIGHTS:
        start = _read_beginning(weights)
        if not start.startswith(_ZIP) and not any(start.startswith(_HDF5, place) for place in _HDF5_OFFSETS):
            raise HeadstartError(
                f"weights {without_secrets(weights)!r} of backbone {backbone.name}: this is no HDF5 file and no "
                ".keras file by its first bytes; pass a .weights.h5, .h5 or .keras file, or the address of one"
            )


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
    """Checks that Keras has its weights or can download them.

    Where HEADSTART_WEIGHTS names a folder, nothing is checked: the training image may hold weights that this image
    lacks.
    """
    if os.environ.get("HEADSTART_WEIGHTS"):
        return
    kept = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "models"
    plain = backbone.name.replace("_", "")
    if kept.is_dir() and any(plain in re.sub(r"[^a-z0-9]", "", file.name.lower()) for file in kept.iterdir()):
        return
    try:
        urllib.request.urlopen(urllib.request.Request(_WEIGHTS_HOST, method="HEAD"), timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        # The host answers; it has no page at this address.
        return
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise HeadstartError(
            f"cannot download the imagenet weights of {backbone.name} ({reason}); pass weights as a file or an "
            "http(s)://, gs:// or s3:// address of a .weights.h5, .h5 or .keras file, or name the folder of such a "
            f"{backbone.name}.weights.h5 in the environment variable HEADSTART_WEIGHTS"
        ) from None
