"""Images that are named by paths, patterns and addresses, found one after the other."""

import dataclasses
import functools
import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from headstart.components.core.dataset import MANIFEST, read_rows
from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import expanded
from headstart.components.core.natural import natural_key
from headstart.components.core.stores import Store, is_remote, open_store, scheme_of, without_secrets
from headstart.components.download_dataset.sources import Loader, Unreadable, is_junk
from headstart.components.download_dataset.sources.folder import open_folder
from headstart.components.download_dataset.sources.source import read_file, read_stored, shown


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """An image, not read yet.

    Attributes:
        file: Its path or address, as it may be shown.
        load: Reads its bytes.
        remote: Whether that waits for a network.
    """

    file: str
    load: Loader
    remote: bool = False


def named(paths: Iterable[str]) -> Iterator[Named]:
    """Finds the images that paths stand for. What cannot be found is among them, and says so when it is loaded.

    Args:
        paths: Each a file, a folder (all files below it, in natural order), a dataset artifact, a pattern with ``*``,
            ``?`` or ``[…]`` (``**`` for any folders), an `http(s)://` address, or a `gs://` or `s3://` address of an
            object or of a prefix.
    """
    stores: dict[str, Store] = {}
    for path in paths:
        try:
            if scheme_of(path) in ("", "file"):
                yield from _on_disk(path.removeprefix("file://"))
            else:
                scheme = scheme_of(path)
                if scheme not in stores:
                    stores[scheme] = open_store(path)
                yield from _in_store(stores[scheme], path)
        except HeadstartError as error:
            yield _not_found(path, "unreadable", str(error))


def _on_disk(name: str) -> Iterator[Named]:
    path = expanded(name)
    if path.is_dir():
        yield from _in_dataset(path) if (path / MANIFEST).is_file() else _in_folder(path)
    elif glob.has_magic(name) and not path.exists():
        found = [each for each in glob.glob(str(path), recursive=True) if not Path(each).is_dir()]  # noqa: PTH207
        if not found:
            yield _not_found(name, "missing", "no file has such a name")
        for each in sorted(found, key=natural_key):
            yield _file(Path(each))
    else:
        yield _file(path)


def _file(path: Path) -> Named:
    return Named(shown(str(path)), functools.partial(read_file, path))


def _in_folder(folder: Path) -> Iterator[Named]:
    source = open_folder(str(folder), folder)
    for entry, load in zip(source.entries, source.loaders(), strict=True):
        yield Named(shown(str(folder / entry.path)), load)
    for each in source.unusable:
        yield _not_found(str(folder / each.file), each.reason, each.detail)
    if not source.entries and not source.unusable:
        yield _not_found(str(folder), "empty", "the folder has no files")


def _in_dataset(folder: Path) -> Iterator[Named]:
    for row in read_rows(folder):
        yield Named(row.path, functools.partial(bytes, row.image))


def _in_store(store: Store, uri: str) -> Iterator[Named]:
    if scheme_of(uri) in ("http", "https"):
        yield Named(without_secrets(uri), functools.partial(_read_object, store, uri), remote=True)
        return
    found = False
    for each in store.list(uri):
        if each.uri == uri or not is_junk(each.path):
            found = True
            load = functools.partial(_read_object, store, each.uri, each.version)
            yield Named(shown(without_secrets(each.uri)), load, remote=True)
    if not found:
        yield _not_found(uri, "missing", "there is no such object, and none below it")


def _read_object(store: Store, uri: str, version: str = "") -> bytes:
    try:
        return read_stored(store, uri, version)
    except HeadstartError as error:
        raise Unreadable("unreadable", str(error)) from None


def fetched(image: Named) -> Named:
    """The same image with its bytes in memory, or the reason why there are none."""
    try:
        return dataclasses.replace(image, load=functools.partial(bytes, image.load()), remote=False)
    except Unreadable as error:
        return dataclasses.replace(image, load=functools.partial(_raise, error.reason, error.detail), remote=False)


def _not_found(name: str, reason: str, detail: str) -> Named:
    name = without_secrets(name) if is_remote(name) else name
    return Named(shown(name), functools.partial(_raise, reason, detail))


def _raise(reason: str, detail: str) -> NoReturn:
    raise Unreadable(reason, detail)
