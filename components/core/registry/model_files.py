"""The files of a model and its evaluation on this machine, downloaded from its address where they are elsewhere."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.artifacts.evaluation import METRICS, MODELS
from headstart.components.core.artifacts.model import MODEL_JSON, ModelInfo, read_model_manifest
from headstart.components.core.registry import registry
from headstart.components.core.registry.champion import download_published_files, download_published_model
from headstart.components.core.registry.versions import EVALUATION, MODEL_FOLDER
from headstart.components.core.storage.stores import NotFound, is_remote, is_web, open_store, without_secrets
from headstart.components.core.storage.stores.folder import download_folder
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """Folders of a model and its evaluation on this machine.

    Attributes:
        model: Folder of the model artifact.
        evaluation: Folder of the model's evaluation; None if there is none beside the model.
    """

    model: Path
    evaluation: Path | None = None


@contextlib.contextmanager
def download_model(address: str, what: str = "model") -> Iterator[ModelFiles]:
    """Finds a model and downloads it unless it is on this machine; the copy is removed when the `with` block ends.

    Args:
        address: Model artifact, output folder of a run, published version, or place where models are published, of
            which the champion is taken: a path, or an `http(s)://`, `gs://` or `s3://` address.
        what: Name of the model in messages.

    Raises:
        HeadstartError: If there is no model at the address, or it cannot be read.
    """
    place, folder = _locate(address, what)
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(download_published_model(folder))
        beside = f"{place}/{EVALUATION}"
        evaluated = folder != place and _exists(beside, METRICS)
        evaluation = stack.enter_context(download_published_files(beside, [METRICS, MODELS])) if evaluated else None
        yield ModelFiles(model, evaluation)


def find_model(address: str, what: str = "model") -> tuple[str, ModelInfo]:
    """Finds a model and reads its `model.json` alone.

    Args:
        address: Address of the model, see `download_model`.
        what: Name of the model in messages.

    Returns:
        Address of the model that stays the same when another becomes the champion, absolute if it is a path, and the
        content of `model.json`.

    Raises:
        HeadstartError: If there is no model at the address, or it cannot be read.
    """
    place, folder = _locate(address, what)
    with download_folder(folder, [MODEL_JSON]) as files:
        info = read_model_manifest(files)
    return place if is_remote(place) else str(Path(place).absolute()), info


def _locate(address: str, what: str) -> tuple[str, str]:
    """The given address, or that of the champion's version, and that of the model artifact in it."""
    place = address.rstrip("/") if is_remote(address) else str(expand_home(address.removeprefix("file://")))
    place = _champion_address(place) or place
    for folder in (place, f"{place}/{MODEL_FOLDER}"):
        if _exists(folder, MODEL_JSON):
            return place, folder
    raise HeadstartError(
        f"{what} {without_secrets(address)!r}: there is no {MODEL_JSON}, no {MODEL_FOLDER}/{MODEL_JSON} and no "
        "published model; pass a model's folder, the output folder of a run, or where models are published"
    )


def _champion_address(place: str) -> str:
    """Address of the champion's version; empty if nothing is published here."""
    # A web server has no folders that could be listed.
    if is_web(place):
        return ""
    found = registry.read_champion(place)
    return found.address if found else ""


def _exists(folder: str, name: str) -> bool:
    if not is_remote(folder):
        return (Path(folder) / name).is_file()
    try:
        open_store(folder).read(f"{folder}/{name}")
    except NotFound:
        return False
    return True
