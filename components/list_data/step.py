"""Lists the files of the data, so that KFP can reuse results as long as the files are the same.

As the first task of a run it also refuses what later tasks would refuse, see `preflight`.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from headstart.components.core.sources import (
    SourceOptions,
    find_local_path,
    is_junk,
    manifest,
    no_files_error,
    parquet,
)
from headstart.components.core.sources.corrections import read_corrections_file
from headstart.components.core.sources.file_names import IMAGE_SUFFIXES
from headstart.components.core.sources.folder import walk_folder
from headstart.components.core.storage.stores import (
    Store,
    StoredObject,
    is_local,
    is_remote,
    open_store,
    scheme_of,
    without_secrets,
)
from headstart.components.core.storage.stores.hosts import HostPatience
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase, start_logging, track_progress
from headstart.components.list_data.preflight import (
    PUBLISH_ALWAYS,
    PUBLISH_NEVER,
    PUBLISH_WHERE_ASKED,
    RunRequirements,
    check_requirements,
    check_weights,
)

__all__ = [
    "PUBLISH_ALWAYS",
    "PUBLISH_NEVER",
    "PUBLISH_WHERE_ASKED",
    "RunRequirements",
    "check_requirements",
    "check_weights",
    "list_data",
]

_LISTING_THREADS = 32
_HEIC_SUFFIXES, _HEIC_PACKAGE = (".heic", ".heif"), "pillow_heif"


@dataclasses.dataclass(frozen=True, slots=True)
class _ListedFile:
    """One file of a source.

    Attributes:
        name: Path or address, without secrets.
        size: Size in bytes; -1: unknown.
        version: Text that changes with the content; empty: unknown.
    """

    name: str
    size: int
    version: str


def list_data(
    data: list[str],
    corrections: str = "",
    image_column: str = "",
    label_column: str = "",
    requirements: RunRequirements | None = None,
    group_column: str = "",
) -> str:
    """Lists all files of all sources, and computes a digest over names, sizes and versions; no image is read.

    The version is a generation (`gs://`), an ETag (`s3://`, `http(s)://`) or the time of the last change (`http(s)://`
    without ETag, local files). The images that a manifest names are listed as well, and those of local Parquet files
    that hold only paths. Files without a version give another digest each time, so that no stale result is reused.

    Args:
        data: Sources, as `download_dataset` takes them.
        corrections: CSV file of corrections, as `download_dataset` takes it; its content counts. Empty: none.
        image_column: Column of manifests that names the image; empty: one with a usual name.
        label_column: Column of manifests that has the class; empty: one with a usual name.
        requirements: Things that the run needs besides, checked before anything is listed; None: nothing is checked.
        group_column: Column of manifests that names the group of an image; empty: none that must be there.

    Returns:
        SHA-256 in hexadecimal, the same for the same files on any machine that sees them under the same names.

    Raises:
        HeadstartError: If a source cannot be listed or is empty, most of its images are HEIC and the package for them
            is missing, or the run lacks something that it needs.
    """
    start_logging()
    if requirements:
        log_phase("checking settings")
        check_requirements(requirements)
    digest = hashlib.sha256()
    options = SourceOptions(image_column, label_column, group_column=group_column)
    for source in data:
        name = without_secrets(source)
        files = track_progress(_list_files(source, options), "listing", 0, unit="files")
        listed = sorted(files, key=lambda file: file.name)
        if not listed:
            raise no_files_error(name)
        _check_heic(name, [file.name for file in listed])
        unversioned = [file.name for file in listed if not file.version]
        if unversioned:
            event("unversioned", data=name, files=len(unversioned), first=unversioned[0])
            digest.update(secrets.token_bytes())
        for file in listed:
            digest.update(json.dumps(dataclasses.astuple(file)).encode())
        event("listing", data=name, files=len(listed), bytes=sum(max(file.size, 0) for file in listed))
    if corrections:
        digest.update(read_corrections_file(corrections))
    event("listed", sources=len(data), digest=digest.hexdigest())
    return digest.hexdigest()


def _check_heic(source: str, names: Sequence[str]) -> None:
    """Refuses data that are mostly HEIC where the package that reads it is missing; warns of fewer such images.

    Raises:
        HeadstartError: If more than half of the images are HEIC and cannot be read here.
    """
    suffixes = [PurePosixPath(name).suffix.lower() for name in names]
    images = sum(suffix in IMAGE_SUFFIXES for suffix in suffixes)
    heic = sum(suffix in _HEIC_SUFFIXES for suffix in suffixes)
    if not heic or importlib.util.find_spec(_HEIC_PACKAGE):
        return
    text = (
        f"data {source!r}: {heic:,} of {images:,} images are HEIC, which needs pillow-heif, not installed here: "
        "pip install 'headstart[heic]'"
    )
    if heic * 2 > images:
        raise HeadstartError(text)
    event("warning", text=text)


def _list_files(source: str, options: SourceOptions) -> Iterator[_ListedFile]:
    if is_local(source):
        return _list_local(source, find_local_path(source), options)
    return _list_remote(source, options)


def _list_remote(source: str, options: SourceOptions) -> Iterator[_ListedFile]:
    name = without_secrets(source)
    store = open_store(source)
    for stored in store.list(source):
        if stored.uri == source or not is_junk(stored.path):
            yield _of_object(stored)
        if stored.uri == source and manifest.is_manifest(name):
            with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
                path = store.download(source, Path(folder) / "manifest", stored.version)
                yield from _list_referenced(
                    manifest.list_references(name, path, manifest.base_address(source), options)
                )


def _list_local(source: str, path: Path, options: SourceOptions) -> Iterator[_ListedFile]:
    if path.is_dir():
        for folder, files in walk_folder(path):
            relative = PurePosixPath(folder.relative_to(path))
            for name in files:
                if not is_junk(str(relative / name)):
                    yield from _of_path(str(relative / name), folder / name)
    else:
        yield from _of_path(source, path)
        if path.is_file() and manifest.is_manifest(source):
            yield from _list_referenced(manifest.list_references(source, path, str(path.parent), options))
        elif path.is_file() and parquet.is_columnar_file(source):
            yield from _list_referenced(parquet.list_references(source, path, str(path.parent), options))


def _list_referenced(addresses: Iterable[str]) -> Iterator[_ListedFile]:
    """Looks up the images that a manifest names; missing ones count, and are left to `download_dataset` to report."""
    store_of = functools.cache(lambda scheme: open_store(f"{scheme}://"))
    hosts = HostPatience()
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        yield from pool.map(lambda address: _look_up(store_of, hosts, address), dict.fromkeys(addresses))


def _look_up(store_of: "functools._lru_cache_wrapper[Store]", hosts: HostPatience, address: str) -> _ListedFile:
    if not is_remote(address):
        files = list(_of_path(address, Path(address)))
    else:
        store = store_of(scheme_of(address))
        try:
            with hosts.bounded(address):
                files = [_of_object(stored) for stored in store.list(address) if stored.uri == address]
        except HeadstartError:
            # Without an answer the image may have changed.
            files = [_ListedFile(without_secrets(address), -1, "")]
    return files[0] if files else _ListedFile(without_secrets(address), -1, "absent")


def _of_object(stored: StoredObject) -> _ListedFile:
    return _ListedFile(without_secrets(stored.uri), stored.size, stored.version)


def _of_path(name: str, path: Path) -> Iterator[_ListedFile]:
    # Path's own raises where a name is too long.
    if os.path.isfile(path):  # noqa: PTH113
        status = path.stat()
        yield _ListedFile(name, status.st_size, str(status.st_mtime_ns))
