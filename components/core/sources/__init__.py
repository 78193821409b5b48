"""Where pictures come from: folders, archives, manifests and Parquet, on disk, on the web or in object storage."""

import contextlib
import functools
import itertools
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from headstart.components.core.images.unsupported import (
    START_BYTES,
    identify_unsupported_file,
    identify_unsupported_name,
    identify_unsupported_zip,
)
from headstart.components.core.sources import bundles, manifest, parquet
from headstart.components.core.sources.archives import open_tar, open_zip
from headstart.components.core.sources.columns import Reading
from headstart.components.core.sources.folder import open_folder
from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.source import (
    MAX_FILE_BYTES,
    PICTURE_SUFFIXES,
    Entry,
    Loader,
    Source,
    Unreadable,
    is_junk,
    printable,
    read_stored,
    too_large,
)
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.stores import (
    Store,
    StoredObject,
    is_local,
    is_remote,
    open_store,
    without_secrets,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key
from headstart.components.core.util.paths import expand_home

__all__ = ["Entry", "Loader", "Reading", "Source", "Unreadable", "is_junk", "local_path", "no_files", "open_source"]

_ANY = Reading()
CARD = "readme.md"
"""A data set's description, which Hugging Face's hub shows, with its pictures."""

_TAR_AT, _TAR = 257, b"ustar"
_GZIP = b"\x1f\x8b"
_ARCHIVES_AT_MOST = 10_000
_DEEPEST = 2


@contextlib.contextmanager
def open_source(data: str, sha256: str = "", reading: Reading = _ANY) -> Iterator[Source]:
    """Opens a source; what has to be downloaded as a whole lies in a temporary folder until the `with` block ends.

    A file is an archive, Parquet, Arrow, or a manifest (by its name: `.csv`, `.tsv`, `.txt`, `.json`, `.jsonl`). A
    folder, the objects below a prefix or the members of an archive are pictures, perhaps with tables that tell their
    classes; or archives; or Parquet or Arrow, where there are such files and pictures only as an ornament.

    Args:
        data: A path, or an `http(s)://`, `gs://` or `s3://` address.
        sha256: What a file's SHA-256 has to be, in hexadecimal; empty: unchecked.
        reading: Which columns to take, and whether there have to be classes.

    Raises:
        HeadstartError: Nothing is there, it is nothing of the kind, is damaged, or has another SHA-256.
    """
    with contextlib.ExitStack() as stack:
        opening = _Opening(reading, stack)
        if not is_local(data):
            source = opening.remote(data, sha256.lower())
        else:
            path = local_path(data)
            if path.is_dir():
                _no_sha256(data, sha256)
                source = opening.folder(data, path)
            else:
                source = opening.file(data, path, str(path.parent), sha256.lower())
        if not source.entries:
            raise no_files(source.name)
        yield source


def local_path(data: str) -> Path:
    """The path of a source on disk.

    Raises:
        HeadstartError: Nothing is there.
    """
    path = expand_home(data.removeprefix("file://"))
    if not path.exists():
        raise HeadstartError(f"data {data!r} does not exist; pass a folder of class folders, or an archive")
    if not (path.is_dir() or path.is_file()):
        raise HeadstartError(f"data {data!r} is a pipe, a socket or a device; pass a folder, an archive or a file")
    return path


def no_files(name: str) -> HeadstartError:
    """What to say of a source in which there is nothing to read."""
    if is_remote(name):
        return HeadstartError(f"data {name!r}: nothing is there; check the address")
    return HeadstartError(f"data {name!r} holds no files; put the pictures of each class in a folder of its own")


class _Opening:
    """Opens sources of all kinds.

    Args:
        reading: Which columns to take, and whether there have to be classes.
        stack: Closes what has been opened, and removes what has been downloaded.
    """

    def __init__(self, reading: Reading, stack: contextlib.ExitStack) -> None:
        self._reading = reading
        self._stack = stack
        self._numbers = itertools.count()
        self._temporary = functools.cache(
            lambda: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
        )

    def file(self, name: str, path: Path, base: str, sha256: str = "") -> Source:
        """Opens a file on disk by what it holds; a manifest, which could be any text, by its name."""
        if sha256:
            digest = sha256_of_file(path)
            if digest != sha256:
                raise HeadstartError(
                    f"data {name!r} has the SHA-256 {digest}, not {sha256}; fetch it again, or mend sha256"
                )
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        if found := identify_unsupported_file(start) or (
            None if zipfile.is_zipfile(path) else identify_unsupported_name(name)
        ):
            raise _foreign(name, found)
        if start.startswith(_GZIP) and manifest.is_manifest(PurePosixPath(name).stem):
            raise _foreign(name, ("compressed table", f"unpack it with `gunzip {PurePosixPath(name).name}`"))
        if manifest.is_manifest(name):
            return manifest.open_manifest(name, path, base, self._reading)
        if start.startswith(parquet.MAGIC) or (name.lower().endswith(parquet.SUFFIXES) and start):
            files = [(PurePosixPath(name).name, path)]
            return parquet.open_parquet(name, files, self._reading, base)
        return self._archive(name, path)

    def folder(self, name: str, path: Path) -> Source:
        """Opens a folder on disk."""
        return self._several(open_folder(name, path), base=str(path))

    def remote(self, uri: str, sha256: str) -> Source:
        """Opens an object, or all below a prefix."""
        name = without_secrets(uri)
        store = open_store(uri)
        objects = list(store.list(uri))
        if not objects:
            raise no_files(name)
        if len(objects) == 1 and objects[0].uri == uri:
            (single,) = objects
            path = store.download(uri, self._new_file(), single.version)
            return self.file(name, path, manifest.base_of(uri), sha256)
        _no_sha256(name, sha256)
        ignored = sum(is_junk(each.path) for each in objects)
        objects = [each for each in objects if not is_junk(each.path)]
        objects.sort(key=lambda each: natural_key(each.path))
        wanted = Packed(StoredObject, objects)
        entries = Packed(Entry, (Entry(printable(each.path)) for each in objects))

        def loaders() -> Iterator[Loader]:
            return (functools.partial(_read_object, store, each) for each in wanted)

        def copy(place: int, target: Path) -> Path:
            stored = next(itertools.islice(wanted, place, None))
            return store.download(stored.uri, target, stored.version)

        return self._several(Source(name, entries, loaders, ignored, remote=True, copy=copy), base=uri.rstrip("/"))

    def _archive(self, name: str, path: Path, depth: int = 0) -> Source:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        # A tar archive that ends with a zip archive would pass for one.
        is_tar = start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR
        if not is_tar and zipfile.is_zipfile(path):
            source = open_zip(name, path, self._stack)
            if found := identify_unsupported_zip(path):
                raise _foreign(name, found)
            return self._several(source, depth=depth)
        return self._several(open_tar(name, path), depth=depth, is_tar=True)

    def _several(self, source: Source, base: str = "", depth: int = 0, is_tar: bool = False) -> Source:
        """Reads several files as what they are together.

        Args:
            source: All of them.
            base: Folder or address that they lie in; empty: they lie in an archive.
            depth: Number of archives or folders around theirs.
            is_tar: Whether they lie in a tar archive.
        """
        paths = [entry.path for entry in source.entries]
        if columns := self._columns(source.name, paths):
            files = [(paths[place], self._on_disk(source, place)) for place in columns]
            ignored = source.ignored + len(paths) - len(columns)
            return parquet.open_parquet(source.name, files, self._reading, base, ignored)
        if archives := bundles.nested(paths):
            if depth == _DEEPEST:
                raise HeadstartError(
                    f"data {source.name!r} are archives in archives in archives; unpack the outer ones"
                )
            if len(archives) > _ARCHIVES_AT_MOST:
                raise HeadstartError(f"data {source.name!r} holds {len(archives):,} archives; pack fewer ones")
            parts = [
                (bundles.folder_of(paths[place]),
                 self._archive(f"{source.name}: {paths[place]}", self._on_disk(source, place), depth + 1))
                for place in archives
            ]  # fmt: skip
            return bundles.joined(source.name, parts, source.ignored + len(paths) - len(archives))
        return bundles.interpreted(source, self._reading, is_tar)

    def _columns(self, name: str, paths: list[str]) -> list[int]:
        """Places of the Parquet or Arrow files that are to be read; none where the pictures beside them are.

        Raises:
            HeadstartError: If both may be meant.
        """
        columns = [place for place, path in enumerate(paths) if parquet.is_columns(path)]
        pictures = [path for path in paths if os.path.splitext(path.lower())[1] in PICTURE_SUFFIXES]  # noqa: PTH122
        if not columns or not pictures or self._reading.labels == "given" or CARD in map(str.lower, paths):
            return columns
        if all(PurePosixPath(paths[place].lower()).stem == bundles.HUGGING_FACE_TABLE for place in columns):
            return columns
        if self._reading.labels != "auto" or not self._reading.labelled:
            return []
        if len({path.rpartition("/")[0] for path in pictures}) > 1:
            raise HeadstartError(
                f"data {name!r} holds {len(pictures):,} pictures in folders, and {paths[columns[0]]}, which "
                "may hold or name some; pass labels 'folders' for the pictures, or 'given' for the table"
            )
        return columns

    def _on_disk(self, source: Source, place: int) -> Path:
        target = self._new_file()
        if source.copy is not None:
            return source.copy(place, target)
        for _, content in bundles.contents(source, {place}):
            target.write_bytes(content)
            return target
        raise HeadstartError(f"data {source.name!r}: a file in it is too large or damaged; unpack it by hand")

    def _new_file(self) -> Path:
        return self._temporary() / f"data-{next(self._numbers)}"


def _foreign(name: str, found: tuple[str, str]) -> HeadstartError:
    kind, way_out = found
    return HeadstartError(f"data {name!r} cannot be read, as it is of the kind {kind}; {way_out}")


def _read_object(store: Store, stored: StoredObject) -> bytes:
    if stored.size > MAX_FILE_BYTES:
        raise too_large(stored.size)
    return read_stored(store, stored.uri, stored.version)


def _no_sha256(name: str, sha256: str) -> None:
    if sha256:
        raise HeadstartError(f"data {name!r} is a folder; sha256 is for a single file, leave it out here")
