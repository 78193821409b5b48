"""Where pictures come from: folders, archives, manifests and Parquet, on disk, on the web or in object storage."""

import contextlib
import functools
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import expanded, sha256_of_file
from headstart.components.core.natural import natural_key
from headstart.components.core.stores import Store, StoredObject, is_local, is_remote, open_store, without_secrets
from headstart.components.download_dataset.sources import manifest, parquet
from headstart.components.download_dataset.sources.archives import open_tar, open_zip
from headstart.components.download_dataset.sources.folder import open_folder
from headstart.components.download_dataset.sources.packed import Packed
from headstart.components.download_dataset.sources.source import (
    MAX_FILE_BYTES,
    Entry,
    Loader,
    Source,
    Unreadable,
    is_junk,
    read_stored,
    shown,
    too_large,
)

__all__ = ["Entry", "Loader", "Source", "Unreadable", "is_junk", "local_path", "no_files", "open_source"]

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}


@contextlib.contextmanager
def open_source(data: str, sha256: str = "") -> Iterator[Source]:
    """Opens a source; what has to be downloaded as a whole lies in a temporary folder until the `with` block ends.

    A file is an archive, Parquet or a manifest (`.csv`, `.jsonl`); a folder, or the objects below a prefix, are
    pictures, or Parquet where there are Parquet files and no pictures.

    Args:
        data: A path, or an `http(s)://`, `gs://` or `s3://` address.
        sha256: What a file's SHA-256 has to be, in hexadecimal; empty: unchecked.

    Raises:
        HeadstartError: Nothing is there, it is nothing of the kind, is damaged, or has another SHA-256.
    """
    with contextlib.ExitStack() as stack:
        if not is_local(data):
            source = _open_remote(data, sha256.lower(), stack)
        else:
            path = local_path(data)
            if path.is_dir():
                _no_sha256(data, sha256)
                source = _folder_or_parquet(data, path)
            else:
                source = _open_file(data, path, str(path.parent), sha256.lower(), stack)
        if not source.entries:
            raise no_files(source.name)
        yield source


def local_path(data: str) -> Path:
    """The path of a source on disk.

    Raises:
        HeadstartError: Nothing is there.
    """
    path = expanded(data.removeprefix("file://"))
    if not path.exists():
        raise HeadstartError(f"data {data!r} does not exist; pass a folder of class folders, or an archive")
    return path


def no_files(name: str) -> HeadstartError:
    """What to say of a source in which there is nothing to read."""
    if is_remote(name):
        return HeadstartError(f"data {name!r}: nothing is there; check the address")
    return HeadstartError(f"data {name!r} holds no files; put the pictures of each class in a folder of its own")


def _open_file(name: str, path: Path, base: str, sha256: str, stack: contextlib.ExitStack) -> Source:
    """Opens a file on disk by what it holds; a manifest, which could be any text, by its name."""
    if sha256:
        found = sha256_of_file(path)
        if found != sha256:
            raise HeadstartError(
                f"data {name!r} has the SHA-256 {found}, not {sha256}; fetch it again, or mend sha256"
            )
    if manifest.is_manifest(name):
        return manifest.open_manifest(name, path, base)
    with path.open("rb") as file:
        start = file.read(4)
    if start == parquet.MAGIC:
        return parquet.open_parquet(name, [(PurePosixPath(name).name, path)])
    if zipfile.is_zipfile(path):
        return open_zip(name, path, stack)
    return open_tar(name, path)


def _folder_or_parquet(name: str, path: Path) -> Source:
    source = open_folder(name, path)
    if not _is_parquet(entry.path for entry in source.entries):
        return source
    tables = [(each.path, path / each.path) for each in source.entries if each.path.endswith(parquet.SUFFIX)]
    return parquet.open_parquet(name, tables, source.ignored + len(source.entries) - len(tables))


def _open_remote(uri: str, sha256: str, stack: contextlib.ExitStack) -> Source:
    name = without_secrets(uri)
    store = open_store(uri)
    objects = list(store.list(uri))
    if not objects:
        raise no_files(name)
    folder = functools.cache(lambda: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-"))))
    if len(objects) == 1 and objects[0].uri == uri:
        (single,) = objects
        path = store.download(uri, folder() / "data", single.version)
        return _open_file(name, path, manifest.base_of(uri), sha256, stack)
    _no_sha256(name, sha256)
    ignored = sum(is_junk(each.path) for each in objects)
    objects = [each for each in objects if not is_junk(each.path)]
    objects.sort(key=lambda each: natural_key(each.path))
    wanted = Packed(StoredObject, objects)
    entries = Packed(Entry, (Entry(shown(each.path)) for each in objects))
    if _is_parquet(each.path for each in wanted):
        tables = [each for each in wanted if each.path.endswith(parquet.SUFFIX)]
        files = [
            (each.path, store.download(each.uri, folder() / f"{number}{parquet.SUFFIX}", each.version))
            for number, each in enumerate(tables)
        ]
        return parquet.open_parquet(name, files, ignored + len(wanted) - len(tables))

    def loaders() -> Iterator[Loader]:
        return (functools.partial(_read_object, store, each) for each in wanted)

    return Source(name, entries, loaders, ignored, remote=True)


def _read_object(store: Store, stored: StoredObject) -> bytes:
    if stored.size > MAX_FILE_BYTES:
        raise too_large(stored.size)
    return read_stored(store, stored.uri, stored.version)


def _is_parquet(paths: Iterable[str]) -> bool:
    suffixes = {os.path.splitext(path.lower())[1] for path in paths}  # noqa: PTH122 - a hundred thousand of them
    return parquet.SUFFIX in suffixes and not suffixes & _PICTURE_SUFFIXES


def _no_sha256(name: str, sha256: str) -> None:
    if sha256:
        raise HeadstartError(f"data {name!r} is a folder; sha256 is for a single file, leave it out here")
