"""Lists the sources of the data, so that what was made of them can be kept while they are the same.

As the first task of a run it also refuses what the run's end would refuse, see `checks`.
"""

import dataclasses
import functools
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
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
from headstart.components.core.util.logs import event, start_logging
from headstart.components.list_data.preflight import (
    PUBLISH_ALWAYS,
    PUBLISH_NEVER,
    PUBLISH_WHERE_ASKED,
    Needs,
    check_needs,
)

__all__ = ["PUBLISH_ALWAYS", "PUBLISH_NEVER", "PUBLISH_WHERE_ASKED", "Needs", "list_data"]

_LISTERS = 32


@dataclasses.dataclass(frozen=True, slots=True)
class _Listed:
    """One file of a source: its name, its size in bytes, and what changes when its content does."""

    name: str
    size: int
    version: str


def list_data(
    data: list[str],
    corrections: str = "",
    image_column: str = "",
    label_column: str = "",
    needs: Needs | None = None,
) -> str:
    """Computes a digest over the names, sizes and versions of all files of all sources; no picture is read.

    The version is a generation (`gs://`), an ETag (`s3://`, `http(s)://`) or the time of the last change (`http(s)://`
    without ETag, local files). The pictures that a manifest names are listed as well, and those of Parquet on disk
    that has paths alone. A server that tells no version gives another digest every time, so that nothing stale is
    ever kept.

    Args:
        data: Sources, as `download_dataset` takes them.
        corrections: Likewise: what it holds counts; empty: there are none.
        image_column: Column of manifests that names the picture; empty: by the usual names.
        label_column: Column of manifests that has the class; empty: by the usual names.
        needs: What the run needs besides, checked before anything is listed; None: nothing that is known.

    Returns:
        SHA-256 in hexadecimal, the same for the same files on any machine that sees them by the same names.

    Raises:
        HeadstartError: A source cannot be listed, or nothing is there; or the run lacks what it needs.
    """
    start_logging()
    if needs:
        check_needs(needs)
    digest = hashlib.sha256()
    options = SourceOptions(image_column, label_column)
    for source in data:
        name = without_secrets(source)
        listed = sorted(_files(source, options), key=lambda file: file.name)
        if not listed:
            raise no_files_error(name)
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


def _files(source: str, options: SourceOptions) -> Iterator[_Listed]:
    if is_local(source):
        return _local_files(source, find_local_path(source), options)
    return _remote_files(source, options)


def _remote_files(source: str, options: SourceOptions) -> Iterator[_Listed]:
    name = without_secrets(source)
    store = open_store(source)
    for stored in store.list(source):
        if stored.uri == source or not is_junk(stored.path):
            yield _of_object(stored)
        if stored.uri == source and manifest.is_manifest(name):
            with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
                path = store.download(source, Path(folder) / "manifest", stored.version)
                yield from _referenced(manifest.list_references(name, path, manifest.base_address(source), options))


def _local_files(source: str, path: Path, options: SourceOptions) -> Iterator[_Listed]:
    if path.is_dir():
        for folder, files in walk_folder(path):
            relative = PurePosixPath(folder.relative_to(path))
            for name in files:
                if not is_junk(str(relative / name)):
                    yield from _of_path(str(relative / name), folder / name)
    else:
        yield from _of_path(source, path)
        if path.is_file() and manifest.is_manifest(source):
            yield from _referenced(manifest.list_references(source, path, str(path.parent), options))
        elif path.is_file() and parquet.is_columnar_file(source):
            yield from _referenced(parquet.list_references(source, path, str(path.parent), options))


def _referenced(addresses: Iterable[str]) -> Iterator[_Listed]:
    """Lists the pictures that a manifest names; one that is not there is for `download_dataset` to tell of."""
    store_of = functools.cache(lambda scheme: open_store(f"{scheme}://"))
    hosts = HostPatience()
    with ThreadPoolExecutor(_LISTERS) as pool:
        yield from pool.map(lambda address: _look_up(store_of, hosts, address), dict.fromkeys(addresses))


def _look_up(store_of: "functools._lru_cache_wrapper[Store]", hosts: HostPatience, address: str) -> _Listed:
    if not is_remote(address):
        found = list(_of_path(address, Path(address)))
    else:
        store = store_of(scheme_of(address))
        try:
            with hosts.bounded(address):
                found = [_of_object(stored) for stored in store.list(address) if stored.uri == address]
        except HeadstartError:
            # One that cannot be asked may be another picture by now.
            found = [_Listed(without_secrets(address), -1, "")]
    return found[0] if found else _Listed(without_secrets(address), -1, "absent")


def _of_object(stored: StoredObject) -> _Listed:
    return _Listed(without_secrets(stored.uri), stored.size, stored.version)


def _of_path(name: str, path: Path) -> Iterator[_Listed]:
    # Path's own raises where a name is too long to be a file's.
    if os.path.isfile(path):  # noqa: PTH113
        found = path.stat()
        yield _Listed(name, found.st_size, str(found.st_mtime_ns))
