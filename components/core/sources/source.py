"""What a source is, and what it says of its files before they are read."""

import dataclasses
import errno
import io
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from headstart.components.core.sources.packed import Packed
from headstart.components.core.sources.quarantine import Quarantined
from headstart.components.core.storage.stores import NotFound, Store, TooLarge
from headstart.components.core.util.errors import HeadstartError

MAX_FILE_BYTES = 256 * 2**20
"""A picture's encoded size, at most; a larger file is no picture and is not read into memory."""

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}

_SIDECAR_SUFFIXES = {
    *(".aae", ".xmp", ".thm", ".mov", ".mp4", ".m4v", ".avi", ".3gp", ".mp3", ".wav"),
    *(".json", ".xml", ".yaml", ".yml", ".txt"),
    *(".cls", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".ini", ".py", ".ipynb"),
}
_JUNK_NAMES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
_JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin"}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Words that folders and tables of ready-made splits are called by, and the split that each means."""

_READ_BYTES = 2**20
_ESCAPED = re.compile(r"[\ud800-\udfff]|\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(r"\\x([89a-f][0-9a-f]|5c)")
_DRIVE = re.compile(r"[A-Za-z]:")


class Unreadable(Exception):
    """One file of a source cannot be read; the others can.

    Args:
        reason: A word or two to count by.
        detail: What happened, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source, not read yet.

    Attributes:
        path: Its path relative to the source, with forward slashes.
        label: The class that the source itself gives it; empty where the path has to tell.
        split: The ready-made split that the source itself puts it in, likewise.
        extra: What else the source says of it, as a JSON object of texts; empty: nothing.
    """

    path: str
    label: str = ""
    split: str = ""
    extra: str = ""


Loader = Callable[[], bytes]
"""Reads one file's bytes, on any thread; raises `Unreadable`."""


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        name: The source as the user named it, without secrets.
        entries: Its files, junk left out.
        loaders: Yields a loader for each of `entries`, in their order.
        ignored: How many files are what operating systems leave behind.
        unusable: What is there and is no file that could be read: links, devices.
        remote: Whether reading a file waits for a network.
        copy: Puts the file at some place among `entries` on disk, whatever its size, and says where it lies: at the
            path that is given, or where it was already. None: only `loaders` read.
        notes: What a reader should know of how it was read, a sentence each.
    """

    name: str
    entries: Packed[Entry]
    loaders: Callable[[], Iterator[Loader]]
    ignored: int = 0
    unusable: tuple[Quarantined, ...] = ()
    remote: bool = False
    copy: Callable[[int, Path], Path] | None = None
    notes: tuple[str, ...] = ()


def is_junk(path: str) -> bool:
    """Whether a path is what operating systems leave behind: hidden files, `__MACOSX`, `Thumbs.db`."""
    parts = [part for part in path.lower().split("/") if part not in ("", ".")]
    return (
        not parts
        or any(part.startswith(".") and part != ".." for part in parts)
        or any(part in _JUNK_FOLDERS for part in parts)
        or parts[-1] in _JUNK_NAMES
    )


def is_sidecar(path: str) -> bool:
    """Whether a file lies beside pictures without being one, by its name: metadata, films, read-me files."""
    return os.path.splitext(path.lower())[1] in _SIDECAR_SUFFIXES  # noqa: PTH122 - a hundred thousand of them


def split_of_path(file: str) -> str:
    """The ready-made split that a file's name or folder speaks of, as on Hugging Face's hub; empty: none.

    `train.parquet`, `pets-train-00000-of-00002.parquet` and `train/0000.parquet` are all of `train`.
    """
    path = PurePosixPath(file.lower())
    for part in (path.stem, *reversed(path.parts[:-1])):
        splits = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part) if word in SPLIT_NAMES}
        if len(splits) == 1:
            return splits.pop()
    return ""


def member_name(name: str, archive: str) -> str:
    """A member's name with forward slashes.

    Raises:
        HeadstartError: It points out of the archive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name):
        raise HeadstartError(
            f"archive {archive!r} has a member {shown(name)!r} that points out of it; nothing was read: "
            "such an archive is made to do harm, or by mistake; pack it again with relative names"
        )
    return str(path)


def printable(name: str) -> str:
    r"""A file's name as text that every file can hold; it stays as it is where it is text.

    Bytes that are no UTF-8, which the system's names may have, become `\xe9`; so that two files never get one name,
    the backslash of a name that has such letters already becomes `\x5c`. `true_name` turns it back.
    """
    if not _ESCAPED.search(name):
        return name
    return _ESCAPED.sub(_escape, name)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}" if code > 0xFF else "\\x5c"


def true_name(text: str) -> str:
    """The name that `printable` had, as the system takes it."""
    return _ESCAPE.sub(lambda found: chr(code + 0xDC00 if (code := int(found[1], 16)) > 0x7F else code), text)


def shown(name: str) -> str:
    """A class's name, or another text, as `printable` has it, in composed Unicode."""
    return printable(unicodedata.normalize("NFC", name))


def read_file(path: str | Path) -> bytes:
    """Reads a local file; what is no regular file, such as a pipe or a device, is not opened.

    Raises:
        Unreadable: It is not there, is no file, may not be read, or is too large for a picture.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - half the time that Path takes
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise Unreadable("not a file", "a pipe, a socket or a device lies there, which is not opened")
        # Without waiting: what was a file just now may be a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise too_large(size)
            return _read_to_end(file, size)
    except (FileNotFoundError, ValueError):
        # A name with a NUL in it is no file's.
        raise Unreadable("missing", "no such file") from None
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or str(error)) from None


def _read_to_end(file: io.RawIOBase, size: int) -> bytes:
    """Reads a file that may be larger than it says, as those of /proc are."""
    content = file.read(size + 1) or b""
    if len(content) == size:
        return content
    more = bytearray(content)
    while part := file.read(_READ_BYTES):
        more += part
        if len(more) > MAX_FILE_BYTES:
            raise too_large(len(more))
    return bytes(more)


def read_stored(store: Store, uri: str, version: str = "") -> bytes:
    """Reads an object from a store.

    Raises:
        Unreadable: It is not there, or is too large for a picture.
        HeadstartError: The store cannot be read.
    """
    try:
        return store.read(uri, version, MAX_FILE_BYTES)
    except NotFound as error:
        raise Unreadable("missing", str(error)) from None
    except TooLarge as error:
        raise Unreadable("too large", str(error)) from None


def too_large(size: int) -> Unreadable:
    """What to say of a file over `MAX_FILE_BYTES`."""
    return Unreadable("too large", f"{size:,} bytes; the most for a picture is {MAX_FILE_BYTES:,}")
