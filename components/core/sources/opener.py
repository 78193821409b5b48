"""Opens sources of all kinds: folders, archives, manifests and Parquet, on disk, on the web or in object storage."""

import contextlib
import functools
import itertools
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
from headstart.components.core.sources import companion_files, manifest, nested_archives, parquet
from headstart.components.core.sources.archives import open_tar, open_zip
from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.columns import SourceOptions
from headstart.components.core.sources.file_contents import MAX_FILE_BYTES, read_object, too_large_error
from headstart.components.core.sources.file_names import escape_name, has_image_suffix, is_junk
from headstart.components.core.sources.folder import open_folder
from headstart.components.core.sources.source import Entry, Loader, Source
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

_DEFAULT_OPTIONS = SourceOptions()
_DATASET_CARD = "readme.md"
"""Description of a dataset on Hugging Face's hub, in lower case; images beside it belong to it, not to the data."""

_TAR_OFFSET, _TAR_MAGIC = 257, b"ustar"
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_ARCHIVES = 10_000
_MAX_DEPTH = 2


@contextlib.contextmanager
def open_source(data: str, sha256: str = "", options: SourceOptions = _DEFAULT_OPTIONS) -> Iterator[Source]:
    """Opens a source; files that must be downloaded as a whole are kept until the `with` block ends.

    A file is an archive, Parquet, Arrow, or a manifest (by its name: `.csv`, `.tsv`, `.txt`, `.json`, `.jsonl`). A
    folder, the objects below a prefix or the members of an archive are images, perhaps with tables that give their
    classes; or archives; or Parquet or Arrow files, perhaps with images that only illustrate a dataset card.

    Args:
        data: Path, or `http(s)://`, `gs://` or `s3://` address.
        sha256: Expected SHA-256 of a file, in hexadecimal; empty: unchecked.
        options: Columns to read, and whether classes are needed.

    Raises:
        HeadstartError: If there is nothing, it is of no such kind, is damaged, or has another SHA-256.
    """
    with contextlib.ExitStack() as stack:
        opener = _SourceOpener(options, stack)
        if not is_local(data):
            source = opener.open_remote(data, sha256.lower())
        else:
            path = find_local_path(data)
            if path.is_dir():
                _check_no_sha256(data, sha256)
                source = opener.open_folder(data, path)
            else:
                source = opener.open_file(data, path, str(path.parent), sha256.lower())
        if not source.entries:
            raise no_files_error(source.name)
        yield source


def find_local_path(data: str) -> Path:
    """Path of a source on disk.

    Args:
        data: Path as the user gave it, with or without `file://`.

    Raises:
        HeadstartError: If there is neither a file nor a folder.
    """
    path = expand_home(data.removeprefix("file://"))
    if not path.exists():
        raise HeadstartError(f"data {data!r} does not exist; pass a folder of class folders, or an archive")
    if not (path.is_dir() or path.is_file()):
        raise HeadstartError(f"data {data!r} is a pipe, a socket or a device; pass a folder, an archive or a file")
    return path


def no_files_error(name: str) -> HeadstartError:
    """Error for a source without files to read.

    Args:
        name: The source as the user named it, without secrets.
    """
    if is_remote(name):
        return HeadstartError(f"data {name!r}: nothing is there; check the address")
    return HeadstartError(f"data {name!r} holds no files; put the images of each class in a folder of its own")


class _SourceOpener:
    """Opens sources of all kinds.

    Args:
        options: Columns to read, and whether classes are needed.
        stack: Closes opened files and removes downloaded ones.
    """

    def __init__(self, options: SourceOptions, stack: contextlib.ExitStack) -> None:
        self._options = options
        self._stack = stack
        self._numbers = itertools.count()
        self._temporary = functools.cache(
            lambda: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
        )

    def open_file(self, name: str, path: Path, base: str, sha256: str = "") -> Source:
        """Opens a file on disk by its content, or by its name if that is a manifest's.

        Args:
            name: The source as the user named it, without secrets.
            path: The file.
            base: Folder or address that relative paths in a manifest start from.
            sha256: Expected SHA-256, in lower case; empty: unchecked.
        """
        if sha256:
            digest = sha256_of_file(path)
            if digest != sha256:
                raise HeadstartError(
                    f"data {name!r} has the SHA-256 {digest}, not {sha256}; fetch it again, or correct sha256"
                )
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        if foreign := identify_unsupported_file(start) or (
            None if zipfile.is_zipfile(path) else identify_unsupported_name(name)
        ):
            raise _foreign_format_error(name, foreign)
        if start.startswith(_GZIP_MAGIC) and manifest.is_manifest(PurePosixPath(name).stem):
            raise _foreign_format_error(
                name, ("compressed table", f"unpack it with `gunzip {PurePosixPath(name).name}`")
            )
        if manifest.is_manifest(name):
            return manifest.open_manifest(name, path, base, self._options)
        if start.startswith(parquet.MAGIC) or (name.lower().endswith(parquet.SUFFIXES) and start):
            files = [(PurePosixPath(name).name, path)]
            return parquet.open_parquet(name, files, self._options, base)
        return self._open_archive(name, path)

    def open_folder(self, name: str, path: Path) -> Source:
        """Opens a folder on disk.

        Args:
            name: The source as the user named it.
            path: The folder.
        """
        return self._interpret(open_folder(name, path), base=str(path))

    def open_remote(self, uri: str, sha256: str) -> Source:
        """Opens an object, or all objects below a prefix; a single object is downloaded.

        Args:
            uri: Address, perhaps with secrets.
            sha256: Expected SHA-256 of an object, in lower case; empty: unchecked.
        """
        name = without_secrets(uri)
        store = open_store(uri)
        objects = list(store.list(uri))
        if not objects:
            raise no_files_error(name)
        if len(objects) == 1 and objects[0].uri == uri:
            (single,) = objects
            path = store.download(uri, self._new_file(), single.version)
            return self.open_file(name, path, manifest.base_address(uri), sha256)
        _check_no_sha256(name, sha256)
        ignored = sum(is_junk(each.path) for each in objects)
        objects = [each for each in objects if not is_junk(each.path)]
        objects.sort(key=lambda each: natural_key(each.path))
        wanted = ColumnarList(StoredObject, objects)
        entries = ColumnarList(Entry, (Entry(escape_name(each.path)) for each in objects))

        def loaders() -> Iterator[Loader]:
            return (functools.partial(_read_stored_object, store, each) for each in wanted)

        def copy(place: int, target: Path) -> Path:
            stored = next(itertools.islice(wanted, place, None))
            return store.download(stored.uri, target, stored.version)

        return self._interpret(Source(name, entries, loaders, ignored, remote=True, copy=copy), base=uri.rstrip("/"))

    def _open_archive(self, name: str, path: Path, depth: int = 0) -> Source:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        # A tar archive that ends with a zip archive would pass for a zip archive.
        is_tar = start[_TAR_OFFSET : _TAR_OFFSET + len(_TAR_MAGIC)] == _TAR_MAGIC
        if not is_tar and zipfile.is_zipfile(path):
            source = open_zip(name, path, self._stack)
            if foreign := identify_unsupported_zip(path):
                raise _foreign_format_error(name, foreign)
            return self._interpret(source, depth=depth)
        return self._interpret(open_tar(name, path), depth=depth, is_tar=True)

    def _interpret(self, source: Source, base: str = "", depth: int = 0, is_tar: bool = False) -> Source:
        """Reads files as Parquet, as archives, or as images with tables beside them.

        Args:
            source: All files.
            base: Folder or address of the files; empty: they are in an archive.
            depth: Number of archives or folders around that of the files.
            is_tar: True if the files are in a tar archive.
        """
        paths = [entry.path for entry in source.entries]
        if tables := self._find_columnar_files(source.name, paths):
            files = [(paths[place], self._on_disk(source, place)) for place in tables]
            ignored = source.ignored + len(paths) - len(tables)
            return parquet.open_parquet(source.name, files, self._options, base, ignored)
        if archives := nested_archives.find_archives(paths):
            if depth == _MAX_DEPTH:
                raise HeadstartError(
                    f"data {source.name!r} are archives in archives in archives; unpack the outer ones"
                )
            if len(archives) > _MAX_ARCHIVES:
                raise HeadstartError(f"data {source.name!r} holds {len(archives):,} archives; pack fewer ones")
            parts = [
                (nested_archives.archive_folder(paths[place]),
                 self._open_archive(f"{source.name}: {paths[place]}", self._on_disk(source, place), depth + 1))
                for place in archives
            ]  # fmt: skip
            ignored = source.ignored + len(paths) - len(archives)
            return nested_archives.join_sources(source.name, parts, ignored)
        return companion_files.interpret_files(source, self._options, is_tar)

    def _find_columnar_files(self, name: str, paths: list[str]) -> list[int]:
        """Positions of the Parquet or Arrow files to read; empty where the images beside them are the data.

        Raises:
            HeadstartError: If either could be the data.
        """
        tables = [place for place, path in enumerate(paths) if parquet.is_columnar_file(path)]
        images = [path for path in paths if has_image_suffix(path)]
        if not tables or not images or self._options.labels == "given" or _DATASET_CARD in map(str.lower, paths):
            return tables
        if all(PurePosixPath(paths[place].lower()).stem == companion_files.HUGGING_FACE_TABLE for place in tables):
            return tables
        if self._options.labels != "auto" or not self._options.labelled:
            return []
        if len({path.rpartition("/")[0] for path in images}) > 1:
            raise HeadstartError(
                f"data {name!r} holds {len(images):,} images in folders, and {paths[tables[0]]}, which "
                "may hold or name some; pass labels 'folders' for the images, or 'given' for the table"
            )
        return tables

    def _on_disk(self, source: Source, place: int) -> Path:
        """Path of a file of a source, which is copied or downloaded unless it is on disk."""
        target = self._new_file()
        if source.copy is not None:
            return source.copy(place, target)
        for _, content in companion_files.read_contents(source, {place}):
            target.write_bytes(content)
            return target
        raise HeadstartError(f"data {source.name!r}: a file in it is too large or damaged; unpack it by hand")

    def _new_file(self) -> Path:
        return self._temporary() / f"data-{next(self._numbers)}"


def _foreign_format_error(name: str, foreign: tuple[str, str]) -> HeadstartError:
    kind, way_out = foreign
    return HeadstartError(f"data {name!r} cannot be read, as it is of the kind {kind}; {way_out}")


def _read_stored_object(store: Store, stored: StoredObject) -> bytes:
    if stored.size > MAX_FILE_BYTES:
        raise too_large_error(stored.size)
    return read_object(store, stored.uri, stored.version)


def _check_no_sha256(name: str, sha256: str) -> None:
    if sha256:
        raise HeadstartError(f"data {name!r} is a folder; sha256 is for a single file, leave it out here")
