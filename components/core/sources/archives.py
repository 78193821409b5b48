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

from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.quarantine import Quarantined
from headstart.components.core.sources.source import (
    MAX_FILE_BYTES,
    Entry,
    Loader,
    Source,
    Unreadable,
    is_junk,
    member_name,
    printable,
    too_large,
)
from headstart.components.core.sources.zip_names import decoded_names
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.natural_sort import natural_key

MAX_TOTAL_BYTES = 2**40
"""What an archive may unpack to."""

MAX_RATIO = 200
"""What an archive may unpack to, as a multiple of its own size; pictures, compressed already, come to about 1."""

MAX_HEADER_BYTES = 2**20
"""What a tar archive may say of a member beside its content: a long name, and whatever PAX adds."""

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


class _Size:
    """Adds up what an archive unpacks to, and refuses a bomb before it goes off."""

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
                "archives made to fill disks do: unpack it by hand and pass the folder if it is meant so"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """What has to be known of a zip archive's member to read it."""

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int

    @classmethod
    def of(cls, info: zipfile.ZipInfo) -> "_Member":
        return cls(
            info.orig_filename,
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type,
            info.flag_bits,
        )

    def info(self) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(self.name)
        info.header_offset, info.compress_size, info.file_size = self.offset, self.packed, self.size
        info.CRC, info.compress_type, info.flag_bits = self.crc, self.method, self.flags
        return info


class _Info(tarfile.TarInfo):
    """What the library knows of a tar archive's member; it reads what is said of one into memory as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and not 0 <= self.size <= MAX_HEADER_BYTES:
            raise tarfile.TarError(f"a header of {self.size:,} bytes; the most is {MAX_HEADER_BYTES:,}")
        # Of a negative size, the next member would lie before this one.
        _refuse_negative(self)
        info: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        _refuse_negative(info)
        return info


def _refuse_negative(info: tarfile.TarInfo) -> None:
    if info.size < 0:
        raise tarfile.TarError(f"a member of {info.size:,} bytes")


def open_zip(name: str, path: Path, stack: contextlib.ExitStack) -> Source:
    """Opens a zip archive; its members are read in natural order of their names, on any thread.

    Raises:
        HeadstartError: It is damaged, encrypted or a bomb, or a member points out of it.
    """
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(name, str(error)) from None
    members, unusable, ignored = [], [], 0
    size = _Size(name, path.stat().st_size)
    infos = archive.infolist()
    decoded, note = decoded_names(infos)
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
            unusable.append(_not_a_file(file, "link" if kind == stat.S_IFLNK else "device"))
        else:
            size.add(info.file_size)
            members.append((file, info))
    members.sort(key=lambda member: natural_key(member[0]))
    entries = Packed(Entry, (Entry(printable(file)) for file, _ in members))
    packed = Packed(_Member, (_Member.of(info) for _, info in members))
    # The library's own list takes ten times the memory, and reading a member does not need it.
    infos.clear()
    archive.NameToInfo.clear()

    def loaders() -> Iterator[Loader]:
        return (functools.partial(_read_member, archive, member) for member in packed)

    def copy(place: int, target: Path) -> Path:
        member = next(itertools.islice(packed, place, None))
        try:
            with archive.open(member.info()) as inside, target.open("wb") as file:
                shutil.copyfileobj(inside, file, _COPY_BYTES)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, lzma.LZMAError) as error:
            raise _damaged(name, str(error)) from None
        return target

    return Source(name, entries, loaders, ignored, tuple(unusable), copy=copy, notes=(note,) if note else ())


def open_tar(name: str, path: Path) -> Source:
    """Opens a tar archive, plain or compressed with gzip, bzip2, xz or zstd.

    It is read twice from front to back, once for the names and once for the contents, in its own order.

    Raises:
        HeadstartError: It is no archive, is damaged or a bomb, or a member points out of it.
    """
    unusable: list[Quarantined] = []
    ignored = 0
    size = _Size(name, path.stat().st_size)
    started = False

    def listed() -> Iterator[Entry]:
        nonlocal ignored, started
        with _tar(path) as archive:
            for info in _members(archive):
                file = member_name(info.name, name)
                size.add(info.size)
                if is_junk(file):
                    ignored += not info.isdir()
                elif info.isfile():
                    started = True
                    yield Entry(printable(file))
                elif not info.isdir():
                    unusable.append(_not_a_file(file, "link" if info.issym() or info.islnk() else "device"))

    try:
        entries = Packed(Entry, listed())
    except _DAMAGE as error:
        if started or not isinstance(error, tarfile.ReadError):
            raise _damaged(name, str(error)) from None
        raise HeadstartError(
            f"data {name!r} is neither a folder nor a zip or tar archive; pass one of these, a .parquet file, or a "
            ".csv or .jsonl manifest"
        ) from None

    def loaders() -> Iterator[Loader]:
        try:
            with _tar(path) as archive:
                for info in _members(archive):
                    if info.isfile() and not is_junk(member_name(info.name, name)):
                        yield _loaded(archive, info)
        except _DAMAGE as error:
            raise _damaged(name, str(error)) from None

    return Source(name, entries, loaders, ignored, tuple(unusable))


def _read_member(archive: zipfile.ZipFile, member: _Member) -> bytes:
    if member.size > MAX_FILE_BYTES:
        raise too_large(member.size)
    try:
        return archive.read(member.info())
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *_DAMAGE) as error:
        raise Unreadable("damaged", f"in the archive: {error}") from None


def _loaded(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Loader:
    """A loader of what has been read already: a stream cannot go back."""
    if info.size > MAX_FILE_BYTES:
        return functools.partial(_raise, too_large(info.size))
    file = archive.extractfile(info)
    content = file.read() if file is not None else b""
    return lambda: content


def _raise(error: Unreadable) -> bytes:
    raise error


@contextlib.contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        zstd = file.read(4) == _ZSTD_MAGIC
    if zstd:
        with (
            pa.input_stream(path, compression="zstd") as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_Info) as archive,
        ):
            yield archive
    else:
        with tarfile.open(path, "r:*", tarinfo=_Info) as archive:
            yield archive


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Every member; the archive's own list of them, which nobody needs, is kept empty."""
    for info in archive:
        yield info
        archive.members.clear()  # type: ignore[attr-defined]


def _not_a_file(name: str, kind: str) -> Quarantined:
    return Quarantined(printable(name), kind, f"a {kind} in an archive is not followed")


def _damaged(name: str, why: str) -> HeadstartError:
    return HeadstartError(f"archive {name!r} is damaged ({why}); download or pack it again")
