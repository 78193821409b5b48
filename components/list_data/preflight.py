"""What can be known of a run's end before it begins: a first task that refuses costs seconds, a last one hours."""

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
from headstart.components.core.registry.version_files import check_installed
from headstart.components.core.storage.stores import is_remote, open_store, open_tree, without_secrets
from headstart.components.core.storage.stores.transfer import patiently
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event
from headstart.components.core.util.paths import expand_home

PUBLISH_WHERE_ASKED, PUBLISH_ALWAYS, PUBLISH_NEVER = "asked", "always", "never"
"""Whether a pipeline publishes: where a run names an address, in every run, or in none."""

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
# Where an HDF5 file may begin; what is before is the user's.
_BEGINNINGS = (0, 512, 1024, 2048)
_WEIGHTS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a run will need besides its data.

    Attributes:
        trainings: Recipes whose pretrained weights it loads.
        publish_uri: Where it publishes; empty: nowhere.
        champion: Model artifact in use where nothing has been published; empty: none.
        exports: Forms in which it publishes.
        written: Other folders or addresses that it writes to, by the name of the parameter; empty ones are left out.
        publishes: When the compiled pipeline publishes: `PUBLISH_WHERE_ASKED`, `PUBLISH_ALWAYS` or `PUBLISH_NEVER`.
    """

    trainings: Sequence[Recipe] = ()
    publish_uri: str = ""
    champion: str = ""
    exports: Sequence[str] = ()
    written: Mapping[str, str] = dataclasses.field(default_factory=dict)
    publishes: str = PUBLISH_WHERE_ASKED


def check_needs(needs: Needs) -> None:
    """Refuses a run whose end could not be reached; nothing is left behind where it tries to write.

    Args:
        needs: What the run will need.

    Raises:
        HeadstartError: If the pipeline has no tasks for what is asked, a form cannot be exported here, an address
            cannot be written, weights are not there or are none, or the model in use cannot be loaded.
    """
    _check_tasks(needs)
    if needs.publish_uri:
        check_installed(needs.exports)
    for name, uri in {**needs.written, "publish_uri": needs.publish_uri}.items():
        if uri:
            _check_writable(name, uri)
    for recipe in needs.trainings:
        _check_weights(get_backbone(recipe.backbone), recipe.weights)
    champion = find_usable_champion(needs.publish_uri, needs.champion)
    event("checked", writable=sum(map(bool, (needs.publish_uri, *needs.written.values()))), champion=bool(champion))


def _check_tasks(needs: Needs) -> None:
    uri = without_secrets(needs.publish_uri)
    if needs.publishes == PUBLISH_NEVER and uri:
        raise HeadstartError(
            f"publish_uri {uri!r}: this pipeline was made for runs that publish nothing and has no tasks that would; "
            f"start a new run with headstart submit --publish {uri}"
        )
    if needs.publishes == PUBLISH_ALWAYS and not uri:
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
            _check_imagenet(backbone)
    elif weights != NO_WEIGHTS:
        start = _beginning(weights)
        if not start.startswith(_ZIP) and not any(start.startswith(_HDF5, place) for place in _BEGINNINGS):
            raise HeadstartError(
                f"weights {without_secrets(weights)!r} of backbone {backbone.name}: this is no HDF5 file and no "
                ".keras file by its first bytes; pass a .weights.h5, .h5 or .keras file, or the address of one"
            )


def _beginning(weights: str) -> bytes:
    """The first bytes of a file, or of what is at an address; the rest is not transferred."""
    size = _BEGINNINGS[-1] + len(_HDF5)
    if not is_remote(weights):
        try:
            with expand_home(weights).open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise HeadstartError(f"weights {weights!r} cannot be read ({error.strerror}); check the file") from None
    store = open_store(weights)

    def first() -> bytes:
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
        return patiently(without_secrets(weights), first)
    except HeadstartError as error:
        raise HeadstartError(f"cannot download weights: {error}") from None


def _check_imagenet(backbone: Backbone) -> None:
    """Sees that Keras has its weights, or can get them; where a folder is named, another image may have them."""
    if os.environ.get("HEADSTART_WEIGHTS"):
        return
    kept = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "models"
    plain = backbone.name.replace("_", "")
    if kept.is_dir() and any(plain in re.sub(r"[^a-z0-9]", "", file.name.lower()) for file in kept.iterdir()):
        return
    try:
        urllib.request.urlopen(urllib.request.Request(_WEIGHTS_HOST, method="HEAD"), timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        # It is there, and has no page to show.
        return
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise HeadstartError(
            f"cannot download the imagenet weights of {backbone.name} ({reason}); pass weights as a file or an "
            "http(s)://, gs:// or s3:// address of a .weights.h5, .h5 or .keras file, or name the folder of such a "
            f"{backbone.name}.weights.h5 in the environment variable HEADSTART_WEIGHTS"
        ) from None
