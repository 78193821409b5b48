"""The champion as other steps need it: complete, as it was published, and with the classes of the present data."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.artifacts.cross_validation import CROSS_VALIDATION
from headstart.components.core.artifacts.history import HISTORY
from headstart.components.core.artifacts.keras_file import inspect_network
from headstart.components.core.artifacts.model import (
    MODEL,
    MODEL_JSON,
    REFERENCE,
    SEEN,
    check_champion_classes,
    list_model_files,
    read_model_info,
    read_model_manifest,
)
from headstart.components.core.registry import registry
from headstart.components.core.registry.verification import verify_copies
from headstart.components.core.registry.versions import EVALUATION, MODEL_FOLDER
from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import log_phase
from headstart.components.core.util.paths import expand_home

_WAY_OUT = "roll back to another version, publish again, or compare with another model"


def find_usable_champion(publish_uri: str, champion: str, classes: list[str] | None = None) -> str:
    """Finds the champion, downloads it and checks that it can be used, before anything is trained.

    Its files are compared with what was published, and its network is inspected without TensorFlow.

    Args:
        publish_uri: Folder, or `gs://` or `s3://` address, where models are published; empty: nowhere.
        champion: Address of the champion if nothing has been published; empty: there is none.
        classes: Class names of the images that models are compared on, in any order; None: unknown yet.

    Returns:
        Address of a model artifact, which differs for each version; empty: there is no champion.

    Raises:
        HeadstartError: If the champion cannot be read or loaded, was changed since it was published, or has other
            classes.
    """
    if publish_uri or champion:
        log_phase("checking the champion")
    found = registry.read_champion(publish_uri) if publish_uri else None
    address = found.model if found else champion
    if not address:
        return ""
    if classes is not None:
        check_champion_classes(address, classes)
    with download_published_model(address) as folder:
        info = read_model_info(folder)
        try:
            inspect_network(folder / MODEL, len(info.classes), info.image_size, _WAY_OUT)
        except HeadstartError as error:
            raise HeadstartError(f"the model in use, {without_secrets(address)}: {error}") from None
    return address


@contextlib.contextmanager
def download_published_model(address: str) -> Iterator[Path]:
    """Downloads a model artifact, unless it is on this machine; the copy is deleted when the `with` block ends.

    Args:
        address: Path, or `http(s)://`, `gs://` or `s3://` address.

    Raises:
        HeadstartError: If a file cannot be read, or is not the one that was published.
    """
    with download_published_files(address, _list_files(address)) as folder:
        yield folder


def _list_files(address: str) -> list[str]:
    """Names of a model's files; those of a folder on this machine need not all be there."""
    if not is_remote(address):
        return [MODEL, HISTORY, SEEN, REFERENCE, CROSS_VALIDATION, MODEL_JSON]
    with download_published_files(address, [MODEL_JSON]) as folder:
        return list_model_files(read_model_manifest(folder))


@contextlib.contextmanager
def download_published_files(address: str, files: list[str]) -> Iterator[Path]:
    """Downloads files of a folder and compares them with the checksums of the published version it belongs to.

    Args:
        address: Folder: a path, or an `http(s)://`, `gs://` or `s3://` address.
        files: Names of the files to download.

    Raises:
        HeadstartError: If a file cannot be read, or is not the one that was published.
    """
    place = address.rstrip("/") if is_remote(address) else str(expand_home(address).absolute())
    with download_folder(place, files) as folder:
        version, _, part = place.rpartition("/")
        if part in (MODEL_FOLDER, EVALUATION):
            verify_copies(version, {f"{part}/{name}": folder / name for name in files})
        yield folder
