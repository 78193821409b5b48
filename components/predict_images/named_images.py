"""Images named by paths, patterns and addresses, found one after the other."""

import contextlib
import dataclasses
import functools
import glob
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from headstart.components.core.artifacts.dataset import DATASET_JSON, read_rows
from headstart.components.core.images.decoding import has_image_signature
from headstart.components.core.images.unsupported import (
    START_BYTES,
    identify_unsupported_file,
    identify_unsupported_name,
)
from headstart.components.core.sources import Loader, SourceOptions, Unreadable, is_junk, open_source
from headstart.components.core.sources.file_contents import read_file, read_object
from headstart.components.core.sources.file_names import (
    IMAGE_SUFFIXES,
    escape_name,
    has_image_suffix,
    is_sidecar,
    unescape_name,
)
from headstart.components.core.sources.folder import list_folder
from headstart.components.core.sources.manifest import is_manifest
from headstart.components.core.sources.nested_archives import is_archive
from headstart.components.core.sources.parquet import MAGIC, is_columnar_file
from headstart.components.core.sources.tables import is_table
from headstart.components.core.storage.stores import (
    Store,
    is_local,
    is_remote,
    is_web,
    open_store,
    scheme_of,
    without_secrets,
)
from headstart.components.core.storage.stores.hosts import HostPatience
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key
from headstart.components.core.util.paths import expand_home


@dataclasses.dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that has not been read yet.

    Attributes:
        file: Path or address of the image, made printable by `escape_name`.
        load: Function that reads its bytes.
        remote: True if reading it takes the network.
    """

    file: str
    load: Loader
    remote: bool = False


PassOver = Callable[[str], object]
"""Function that is called with the path or address of each file that is passed over."""


def _ignore(_: str) -> None:
    """Passes a file over without a word."""


def find_images(
    paths: Iterable[str],
    opened: contextlib.ExitStack | None = None,
    image_column: str = "",
    pass_over: PassOver = _ignore,
) -> Iterator[NamedImage]:
    """Finds the images at paths and addresses.

    A path without an image yields one that raises `Unreadable` when it is loaded. Files in a folder or behind a
    pattern that are not images by name and first bytes are passed over, unless there is nothing else.

    Args:
        paths: Files, folders (all files below, in natural order), dataset artifacts, patterns with ``*``, ``?`` or
            ``[…]`` (``**`` for any folders), `http(s)://` addresses, and `gs://` or `s3://` addresses of objects or
            prefixes. Archives, manifests and Parquet are opened for the images in them.
        opened: Stack that closes archives and removes downloads; to be closed after the last image is loaded. None:
            archives, manifests and Parquet are treated as images.
        image_column: Column of manifests and Parquet that names or holds the image; empty: by the usual names.
        pass_over: Function that gets the path of each file that is passed over; those in archives are not among them.
    """
    stores: dict[str, Store] = {}
    hosts = HostPatience()
    options = SourceOptions(image_column, labelled=False)
    for path in paths:
        try:
            if opened is not None and _is_container(path):
                yield from _in_source(path, opened, options)
            elif is_local(path):
                yield from _on_disk(path.removeprefix("file://"), pass_over)
            else:
                scheme = scheme_of(path)
                if scheme not in stores:
                    stores[scheme] = open_store(path)
                yield from _in_store(stores[scheme], path, hosts, pass_over)
        except HeadstartError as error:
            yield _not_found(path, "unreadable", str(error))
        except OSError as error:
            yield _not_found(path, "unreadable", error.strerror or str(error))


def count_images(paths: Sequence[str]) -> int:
    """Counts the images at files, folders and patterns on this machine, without reading them.

    Args:
        paths: Paths and addresses, as `find_images` takes them.

    Returns:
        Number of images; 0 where an archive, a table, a dataset or a store would have to be read.
    """
    images = 0
    try:
        for path in paths:
            name = path.removeprefix("file://")
            if not is_local(path) or _is_container(path) or (expand_home(name) / DATASET_JSON).is_file():
                return 0
            images += sum(1 for _ in _on_disk(name, _ignore))
    except (HeadstartError, OSError):
        # The reason is reported with the predictions.
        return 0
    return images


def _is_container(path: str) -> bool:
    """True if a path is a file, or a folder of Parquet, that `open_source` reads images from."""
    if not is_local(path):
        name = urlsplit(path).path if is_web(path) else path
        return is_archive(name) or is_columnar_file(name) or is_manifest(name)
    place = expand_home(path.removeprefix("file://"))
    if place.is_dir():
        return not (place / DATASET_JSON).is_file() and _is_saved_dataset(place)
    if not place.is_file():
        return False
    with place.open("rb") as file:
        start = file.read(len(MAGIC))
    return (
        is_archive(path) or is_columnar_file(path) or is_manifest(path) or start == MAGIC or zipfile.is_zipfile(place)
    )


def _is_saved_dataset(folder: Path) -> bool:
    """True if a folder is a copy of a data set saved as Parquet or Arrow, at the top or one level below."""
    names = [each.name.lower() for pattern in ("*", "*/*") for each in folder.glob(pattern)]
    pictures = any(name.endswith(tuple(IMAGE_SUFFIXES)) for name in names)
    return any(map(is_columnar_file, names)) and (not pictures or (folder / "README.md").is_file())


def _in_source(path: str, opened: contextlib.ExitStack, options: SourceOptions) -> Iterator[NamedImage]:
    source = opened.enter_context(open_source(path, options=options))
    for entry, load in zip(source.entries, source.loaders(), strict=True):
        yield NamedImage(escape_name(f"{source.name}: {entry.path}"), load, source.remote)
    for each in source.unusable:
        yield _not_found(f"{source.name}: {each.file}", each.reason, each.detail)


def _on_disk(name: str, pass_over: PassOver) -> Iterator[NamedImage]:
    path = expand_home(name)
    if path.is_dir():
        yield from _in_dataset(path) if (path / DATASET_JSON).is_file() else _in_folder(path, pass_over)
    elif glob.has_magic(name) and not path.exists():
        # `Path.glob` raises where a folder may not be read.
        found = [each for each in glob.glob(str(path), recursive=True) if not os.path.isdir(each)]  # noqa: PTH112, PTH207
        if not found:
            yield _not_found(name, "missing", "no file has such a name")
        yield from _images_among(Path(), sorted(found, key=natural_key), pass_over)
    elif not os.path.lexists(path) and os.path.lexists(unescape_name(str(path))):
        # The printable form of a name that is not UTF-8.
        yield _file(Path(unescape_name(str(path))))
    else:
        yield _file(path)


def _file(path: Path) -> NamedImage:
    return NamedImage(escape_name(str(path)), functools.partial(read_file, path))


def _images_among(folder: Path, paths: Sequence[str], pass_over: PassOver) -> Iterator[NamedImage]:
    """The images among files that nobody named one by one; all files where none of them is an image.

    Args:
        folder: Folder that the paths are relative to.
        paths: Paths of the files.
        pass_over: Function that gets the path of each file that is no image.
    """
    strays = {path for path in paths if _is_stray(folder / path)}
    if len(strays) == len(paths):
        strays = set()
    for path in paths:
        if path in strays:
            pass_over(str(folder / path))
        else:
            yield _file(folder / path)


def _is_stray(path: Path) -> bool:
    """Whether a file is neither an image nor a broken one, nor a kind of file that may hold images."""
    name = path.name
    if is_sidecar(name) or is_table(name):
        return True
    if has_image_suffix(name) or is_archive(name) or is_columnar_file(name) or identify_unsupported_name(name):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError:
        return False
    return not (has_image_signature(start) or identify_unsupported_file(start))


def _in_folder(folder: Path, pass_over: PassOver) -> Iterator[NamedImage]:
    closed: list[OSError] = []
    found = list_folder(folder, closed.append)
    for path in found.junk:
        pass_over(str(folder / path))
    yield from _images_among(folder, found.files, pass_over)
    for each in found.unusable:
        yield _not_found(str(folder / each.file), each.reason, each.detail)
    for error in closed:
        yield _not_found(str(error.filename), "unreadable", f"the folder may not be read ({error.strerror})")
    if not (found.files or found.unusable or closed):
        yield _not_found(str(folder), "empty", "the folder has no files")


def _in_dataset(folder: Path) -> Iterator[NamedImage]:
    for row in read_rows(folder):
        yield NamedImage(row.path, functools.partial(bytes, row.image))


def _in_store(store: Store, uri: str, hosts: HostPatience, pass_over: PassOver) -> Iterator[NamedImage]:
    if is_web(uri):
        yield NamedImage(
            escape_name(without_secrets(uri)), functools.partial(_read_object, store, hosts, uri), remote=True
        )
        return
    found = False
    for each in store.list(uri):
        if each.uri == uri or not (is_junk(each.path) or is_sidecar(each.path) or is_table(each.path)):
            found = True
            load = functools.partial(_read_object, store, hosts, each.uri, each.version)
            yield NamedImage(escape_name(without_secrets(each.uri)), load, remote=True)
        else:
            pass_over(without_secrets(each.uri))
    if not found:
        yield _not_found(uri, "missing", "there is no such object, and none below it")


def _read_object(store: Store, hosts: HostPatience, uri: str, version: str = "") -> bytes:
    try:
        with hosts.bounded(uri):
            return read_object(store, uri, version)
    except HeadstartError as error:
        raise Unreadable("unreadable", str(error)) from None


def load_into_memory(image: NamedImage) -> NamedImage:
    """Reads an image; loading the result takes no time, or raises the same `Unreadable`."""
    try:
        return dataclasses.replace(image, load=functools.partial(bytes, image.load()), remote=False)
    except Unreadable as error:
        return dataclasses.replace(image, load=functools.partial(_raise, error.reason, error.detail), remote=False)


def _not_found(name: str, reason: str, detail: str) -> NamedImage:
    name = without_secrets(name) if is_remote(name) else name
    return NamedImage(escape_name(name), functools.partial(_raise, reason, detail))


def _raise(reason: str, detail: str) -> NoReturn:
    raise Unreadable(reason, detail)
