"""Comparison of published files with the checksums in `version.json`."""

import tempfile
from pathlib import Path

from headstart.components.core.registry.versions import (
    VERSION_JSON,
    DamagedVersion,
    PublishedFile,
    Version,
    parse_version,
)
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.stores import NotFound, Tree, is_remote, open_store, without_secrets
from headstart.components.core.storage.stores.tree import check_name
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import track_progress

_ANY_VERSION_FORMAT = b"headstart-version/"
"""Part of every `version.json` of ours; a file of that name may be another program's."""


def verify_copies(address: str, copies: dict[str, Path]) -> None:
    """Refuses copies of a version's files that are not what was published; only its `version.json` is downloaded.

    Args:
        address: Folder of the version: a path, or an `http(s)://`, `gs://` or `s3://` address. If it has no
            `version.json` of ours, there is nothing to compare with.
        copies: Copies on this machine by the files' names, relative to the folder.

    Raises:
        DamagedVersion: If a checksum is not the one in `version.json`, which may itself have been altered.
        HeadstartError: If `version.json` cannot be read.
    """
    content = _download(f"{address}/{VERSION_JSON}")
    if content is None or _ANY_VERSION_FORMAT not in content:
        return
    shown = without_secrets(address)
    try:
        version = parse_version(content)
    except ValueError as error:
        raise DamagedVersion(f"{shown}/{VERSION_JSON} {error}; publish the model again, or use another one") from None
    for name, copy in copies.items():
        if not copy.exists():
            continue
        if name not in version.files or sha256_of_file(copy) != version.files[name].sha256:
            raise DamagedVersion(
                f"{shown}/{name} is not the file that was published; publish the model again, or roll back to "
                "another version"
            )


def verify_version(tree: Tree, version: Version) -> None:
    """Downloads all files of a version and compares their checksums.

    Raises:
        DamagedVersion: If a file is missing or altered.
        HeadstartError: If a file cannot be read.
    """
    for name, file in track_progress(version.files.items(), "checking files", len(version.files), unit="files"):
        sha256 = _download_sha256(tree, f"{version.version}/{check_name(name)}")
        if sha256 != file.sha256:
            state = "is not the file that was published" if sha256 else "is missing"
            raise damaged_version(tree, version.version, f"{name} {state}")


def is_intact(tree: Tree, version: str, name: str, file: PublishedFile) -> bool:
    """Whether a file of a version is there and has the right checksum; it is downloaded for that."""
    return _download_sha256(tree, f"{version}/{name}") == file.sha256


def damaged_version(tree: Tree, version: str, damage: str) -> DamagedVersion:
    """The error about a damaged version."""
    return DamagedVersion(
        f"version {version} at {tree.address} is damaged: {damage}; publish the model again, or roll back to another "
        "version"
    )


def _download_sha256(tree: Tree, name: str) -> str:
    """Checksum of a file; empty if there is no such file."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        try:
            return sha256_of_file(tree.download(name, Path(folder) / "copy"))
        except NotFound:
            return ""


def _download(address: str) -> bytes | None:
    """The bytes of a file; None if there is no such file."""
    try:
        return open_store(address).read(address) if is_remote(address) else Path(address).read_bytes()
    except (NotFound, FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HeadstartError(f"{address} cannot be read ({error}); check its permissions") from None
