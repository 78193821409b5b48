"""Versions of published models: their files, their names, and their `version.json`."""

import dataclasses
import hashlib
import json
from pathlib import Path

from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import Count, Finite, Fraction, Names, parse_manifest
from headstart.components.core.util.errors import HeadstartError

VERSION_JSON = "version.json"
MODEL_FOLDER = "model"
EVALUATION = "evaluation"
INFERENCE_SERVICE = "inference_service.yaml"
"""Tells a server the address of the version, so neither the version's name nor `version.json` can depend on it."""

VERSION_FORMAT = "headstart-version/1"

_NAME_LETTERS = 16


class DamagedVersion(HeadstartError):
    """A file of a version is missing, or is not the one that was published."""


@dataclasses.dataclass(frozen=True)
class VersionFacts:
    """Facts about a version.

    Attributes:
        model: SHA-256 of its `model.keras`.
        classes: Class names in the order of the model's probabilities.
        data: Digests of the training, the validation and the test set.
        run: Description of the run that made it, as given when it was published.
        images: Number of test images that it was evaluated on.
        accuracy: Accuracy on the test images.
        accuracy_interval: 95 % confidence interval of the accuracy.
    """

    model: str
    classes: Names
    data: dict[str, str]
    run: str
    images: Count
    accuracy: Fraction
    accuracy_interval: tuple[Finite, Finite]


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """One file of a version: the SHA-256 and the number of its bytes."""

    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Version:
    """Content of `version.json`.

    Attributes:
        version: Name of the version.
        created: Time at which it was complete, in UTC, as ISO 8601.
        facts: Facts about it.
        files: Its files by their names, relative to its folder.
    """

    version: str
    created: str
    facts: VersionFacts
    files: dict[str, PublishedFile]


def parse_version(content: bytes) -> Version:
    """Parses a `version.json`.

    Raises:
        ValueError: If it is damaged, or the version is not named for the files in it. The message continues a
            sentence that begins with the name of the file.
    """
    version, _ = parse_manifest(content, Version, VERSION_FORMAT)
    if name_version(version.files) != version.version:
        raise ValueError("lists other files or checksums than were published")
    return version


def list_files(folder: Path) -> dict[str, PublishedFile]:
    """All files of a folder that belong to the version it becomes, by their names relative to it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / INFERENCE_SERVICE)
    return {
        path.relative_to(folder).as_posix(): PublishedFile(sha256_of_file(path), path.stat().st_size)
        for path in paths
    }


def name_version(files: dict[str, PublishedFile]) -> str:
    """The name of a version: a digest of its files' names and checksums."""
    listed = [[name, file.sha256] for name, file in sorted(files.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:_NAME_LETTERS]
