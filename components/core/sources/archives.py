"""Zip and tar archives, read member by member and never unpacked: no member's name can reach a place on disk."""

import contextlib
import dataclasses
import functools
import itertools
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.file_contents import MAX_FILE_BYTES, too_large_error
from headstart.components.core.sources.file_names import escape_name, is_junk, member_name
from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.core.sources.source import Entry, Loader, Source, Unreadable
from headstart.components.core.sources.zip_names import decode_names
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key

MAX_TOTAL_BYTES = 2**40
"""Largest size in bytes that an archive may unpack to."""

MAX_RATIO = 200
"""Largest size that an archive may unpack to, as a multiple of its own; for images, which are compressed, about 1."""

MAX_HEADER_BYTES = 2**20
"""Largest header of a tar archive's member: a long name, and PAX records."""

_FREE_OF_RATIO_BYTES = 2**30
_COPY_BYTES = 2**20
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DAMAGE = (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, RecursionError)
_ZIP_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError)


class _UnpackedSize:
    """Adds up the unpacked size of an archive, and refuses a decompression bomb before it is unpacked."""

    def __init__(self, name: str, packed: int) -> None:
        self._name = name
        self._packed = packed
        self._total = 0

    def add(self, size: int) -> None:
        self._total += size
        limit = min(MAX_TOTAL_BYTES, max(_FREE_OF_RATIO_BYTES, MAX_RATIO * self._packed))
        if self._total > limit:
            raise HeadstartError(
                f"archive {self._name!r} of {self._packed:,} bytes unpacks to more than {limit:,}; that is what "
                "archives made to fill disks do: if it is meant so, unpack it by hand and pass the folder"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _ZipMember:
    """The fields of a zip archive's member that are needed to read it."""

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int

    @classmethod
    def from_info(cls, info: zipfile.ZipInfo) -> "_ZipMember":
        return cls(
            info.orig_filename,
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type,
            info.flag_bits,
        )

    def to_info(self) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(self.name)
        info.header_offset, info.compress_size, info.file_size = self.offset, self.packed, self.size
        info.CRC, info.compress_type, info.flag_bits = self.crc, self.method, self.flags
        return info


def open_zip(name: str, path: Path, stack: contextlib.ExitStack) -> Source:
    """Opens a zip archive; its members are read in natural order of their names, on any thread.

    Args:
        name: The source as the user named it, without secrets.
        path: File on disk.
        stack: Closes the archive.

    Raises:
        HeadstartError: If the archive is damaged, encrypted or a decompression bomb, or a member's name points out
            of it.
    """
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged_error(name, str(error)) from None
    members, unusable, ignored = [], [], 0
    size = _UnpackedSize(name, path.stat().st_size)
    infos = archive.infolist()
    decoded, note = decode_names(infos)
    for info, decoded_name in zip(infos, decoded, strict=True):
        file = member_name(decoded_name, name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if is_junk(file):
            ignored += not info.is_dir()
        elif info.is_dir():
            continue
        elif info.flag_bits & 1:
            raise HeadstartError(f"archive {name!r} is encrypted; unpack it and pass the folder as data")
        elif kind not in (0, stat.S_IFREG):
            unusable.append(_unusable_member(file, "link" if kind == stat.S_IFLNK else "device"))
        else:
            size.add(info.file_size)
            members.append((file, info))
    members.sort(key=lambda member: natural_key(member[0]))
    entries = ColumnarList(Entry, (Entry(escape_name(file)) for file, _ in members))
    stored = ColumnarList(_ZipMember, (_ZipMember.from_info(info) for _, info in members))
    # The library's own list takes ten times the memory, and reading a member does not need it.
    infos.clear()
    archive.NameToInfo.clear()

    def loaders() -> Iterator[Loader]:
        return (functools.partial(_read_zip_member, archive, member) for member in stored)

    def copy(place: int, target: Path) -> Path:
        member = next(itertools.islice(stored, place, None))
        try:
            with archive.open(member.to_info()) as inside, target.open("wb") as file:
                shutil.copyfileobj(inside, file, _COPY_BYTES)
        except (*_ZIP_DAMAGE, zlib.error, EOFError, lzma.LZMAError) as error:
            raise _damaged_error(name, str(error)) from None
        return target

    return Source(name, entries, loaders, ignored, tuple(unusable), copy=copy, notes=(note,) if note else ())


def _read_zip_member(archive: zipfile.ZipFile, member: _ZipMember) -> bytes:
    if member.size > MAX_FILE_BYTES:
        raise too_large_error(member.size)
    try:
        return archive.read(member.to_info())
    except (*_ZIP_DAMAGE, *_DAMAGE) as error:
        raise Unreadable("damaged", f"in the archive: {error}") from None


def open_tar(name: str, path: Path) -> Source:
    """Opens a tar archive, plain or compressed with gzip, bzip2, xz or zstd.

    It is read twice from front to back, once for the names and once for the contents, in its own order.

    Args:
        name: The source as the user named it, without secrets.
        path: File on disk.

    Raises:
        HeadstartError: If the file is no archive, is damaged or a decompression bomb, or a member's name points out
            of it.
    """
    listing = _TarListing(name, path)
    try:
        entries = ColumnarList(Entry, listing.read_entries())
    except _DAMAGE as error:
        if listing.has_files or not isinstance(error, tarfile.ReadError):
            raise _damaged_error(name, str(error)) from None
        raise HeadstartError(
            f"data {name!r} is neither a folder nor a zip or tar archive; pass one of these, a .parquet file, or a "
            ".csv or .jsonl manifest"
        ) from None

    def loaders() -> Iterator[Loader]:
        try:
            with _open_tar_file(path) as archive:
                for info in _tar_members(archive):
                    if info.isfile() and not is_junk(member_name(info.name, name)):
                        yield _read_tar_member(archive, info)
        except _DAMAGE as error:
            raise _damaged_error(name, str(error)) from None

    return Source(name, entries, loaders, listing.ignored, tuple(listing.unusable))


class _TarListing:
    """Lists the files of a tar archive, and notes its other members.

    Attributes:
        unusable: Links and devices.
        ignored: Number of junk files.
        has_files: True if a file was found before the archive's end, or before its damage.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._size = _UnpackedSize(name, path.stat().st_size)
        self.unusable: list[QuarantinedFile] = []
        self.ignored = 0
        self.has_files = False

    def read_entries(self) -> Iterator[Entry]:
        with _open_tar_file(self._path) as archive:
            for info in _tar_members(archive):
                file = member_name(info.name, self._name)
                self._size.add(info.size)
                if is_junk(file):
                    self.ignored += not info.isdir()
                elif info.isfile():
                    self.has_files = True
                    yield Entry(escape_name(file))
                elif not info.isdir():
                    kind = "link" if info.issym() or info.islnk() else "device"
                    self.unusable.append(_unusable_member(file, kind))


class _CheckedTarInfo(tarfile.TarInfo):
    """Member of a tar archive; a header that is too large is refused before the library reads it into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and not 0 <= self.size <= MAX_HEADER_BYTES:
            raise tarfile.TarError(f"a header of {self.size:,} bytes; the most is {MAX_HEADER_BYTES:,}")
        # After a negative size the next member would lie before this one.
        _check_not_negative(self)
        info: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        _check_not_negative(info)
        return info


def _check_not_negative(info: tarfile.TarInfo) -> None:
    if info.size < 0:
        raise tarfile.TarError(f"a member of {info.size:,} bytes")


@contextlib.contextmanager
def _open_tar_file(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        zstd = file.read(4) == _ZSTD_MAGIC
    if zstd:
        with (
            pa.input_stream(path, compression="zstd") as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_CheckedTarInfo) as archive,
        ):
            yield archive
    else:
        with tarfile.open(path, "r:*", tarinfo=_CheckedTarInfo) as archive:
            yield archive


def _tar_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields every member; the archive's own list of them is kept empty, to save memory."""
    for info in archive:
        yield info
        archive.members.clear()  # type: ignore[attr-defined]


def _read_tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Loader:
    """Reads a member at once, since a stream cannot go back, and returns a loader of its content."""
    if info.size > MAX_FILE_BYTES:
        return functools.partial(_raise, too_large_error(info.size))
    file = archive.extractfile(info)
    content = file.read() if file is not None else b""
    return lambda: content


def _raise(error: Unreadable) -> bytes:
    raise error


def _unusable_member(name: str, kind: str) -> QuarantinedFile:
    return QuarantinedFile(escape_name(name), kind, f"a {kind} in an archive is not followed")


def _damaged_error(name: str, why: str) -> HeadstartError:
    return HeadstartError(f"archive {name!r} is damaged ({why}); download or pack it again")
