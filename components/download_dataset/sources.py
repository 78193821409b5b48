"""Where pictures come from: a folder, or a zip or tar archive, on disk or on the web.

Archives are read member by member and never unpacked, so no member's name can reach a place on disk.
"""

import contextlib
import dataclasses
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from headstart.components.core.errors import HeadstartError
from headstart.components.core.fetch import download, is_url, without_secrets
from headstart.components.core.natural import natural_key

MAX_FILE_BYTES = 256 * 2**20
"""A picture's encoded size, at most; a larger file is no picture and is not read into memory."""

_JUNK_NAMES = {"Thumbs.db", "desktop.ini"}
_JUNK_FOLDERS = {"__MACOSX"}


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file of a source, not read yet.

    Attributes:
        path: Its path relative to the source, with forward slashes.
        size: In bytes.
    """

    path: str
    size: int


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        name: The source as the user named it, without secrets.
        files: Its files in the order in which `contents` yields them, junk left out.
        contents: Yields the files' bytes, in the order of `files`; None for a file over `MAX_FILE_BYTES`.
    """

    name: str
    files: list[SourceFile]
    contents: Callable[[], Iterator[bytes | None]]


@contextlib.contextmanager
def open_source(data: str) -> Iterator[Source]:
    """Opens a folder, a zip or tar archive, or an `http(s)://` address of an archive.

    Raises:
        HeadstartError: Nothing is there, it is neither folder nor archive, or it holds no file.
    """
    with contextlib.ExitStack() as stack:
        if is_url(data):
            name = without_secrets(data)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
            path = download(
                data, folder / "archive", "archive", "check the address, or pass a file or a folder as data"
            )
        elif "://" in data:
            scheme = data.partition("://")[0]
            raise HeadstartError(
                f"data {without_secrets(data)!r}: {scheme}:// is not known here; pass a folder, "
                "a zip or tar archive, or an http(s):// address of one"
            )
        else:
            name, path = data, Path(data).expanduser()
        if not path.exists():
            raise HeadstartError(f"data {name!r} does not exist; pass a folder of class folders, or an archive")
        if path.is_dir():
            source = _folder(name, path)
        elif zipfile.is_zipfile(path):
            try:
                source = _zip(name, stack.enter_context(zipfile.ZipFile(path)))
            except zipfile.BadZipFile as error:
                raise _damaged(name, str(error)) from None
        else:
            source = _tar(name, path)
        if not source.files:
            raise HeadstartError(
                f"data {name!r} holds no files; put the pictures of each class in a folder of its own"
            )
        yield source


def is_junk(path: str) -> bool:
    """Whether a path is what operating systems leave behind: hidden files, `__MACOSX`, `Thumbs.db`."""
    parts = PurePosixPath(path).parts
    return (
        any(part.startswith(".") and part != ".." for part in parts)
        or any(part in _JUNK_FOLDERS for part in parts)
        or parts[-1] in _JUNK_NAMES
    )


def _folder(name: str, root: Path) -> Source:
    paths = [path for path in root.rglob("*") if path.is_file() and not is_junk(path.relative_to(root).as_posix())]
    paths.sort(key=lambda path: natural_key(path.relative_to(root).as_posix()))
    files = [SourceFile(path.relative_to(root).as_posix(), path.stat().st_size) for path in paths]

    def contents() -> Iterator[bytes | None]:
        for path, file in zip(paths, files, strict=True):
            yield path.read_bytes() if file.size <= MAX_FILE_BYTES else None

    return Source(name, files, contents)


def _zip(name: str, archive: zipfile.ZipFile) -> Source:
    members = [info for info in archive.infolist() if not info.is_dir() and not is_junk(info.filename)]
    if any(info.flag_bits & 1 for info in members):
        raise HeadstartError(f"archive {name!r} is encrypted; unpack it and pass the folder as data")
    members.sort(key=lambda info: natural_key(info.filename))

    def contents() -> Iterator[bytes | None]:
        for info in members:
            if info.file_size > MAX_FILE_BYTES:
                yield None
                continue
            try:
                yield archive.read(info)
            except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
                raise _damaged(name, f"{info.filename!r}: {error}") from None

    return Source(name, [SourceFile(info.filename, info.file_size) for info in members], contents)


def _tar(name: str, path: Path) -> Source:
    """A tar archive, plain or compressed, read twice from front to back: once for names, once for contents."""
    members: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(path, "r:*") as archive:
            members = [info for info in archive if info.isfile() and not is_junk(info.name)]
    except (tarfile.TarError, EOFError, OSError) as error:
        if members or not isinstance(error, tarfile.ReadError):
            raise _damaged(name, str(error)) from None
        raise HeadstartError(
            f"data {name!r} is neither a folder nor a zip or tar archive; pass one of these"
        ) from None

    def contents() -> Iterator[bytes | None]:
        try:
            with tarfile.open(path, "r:*") as archive:
                for info in archive:
                    if info.isfile() and not is_junk(info.name):
                        file = archive.extractfile(info)
                        yield file.read() if file is not None and info.size <= MAX_FILE_BYTES else None
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _damaged(name, str(error)) from None

    return Source(name, [SourceFile(info.name, info.size) for info in members], contents)


def _damaged(name: str, why: str) -> HeadstartError:
    return HeadstartError(f"archive {name!r} is damaged ({why}); download or pack it again")
