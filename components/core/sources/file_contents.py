"""Bytes of image files, on disk or in a store, up to a size limit."""

import errno
import io
import os
import stat
from pathlib import Path

from headstart.components.core.sources.source import Unreadable
from headstart.components.core.storage.stores import NotFound, Store, TooLarge

MAX_FILE_BYTES = 256 * 2**20
"""Largest encoded size of an image; a larger file is no image and is not read into memory."""

_READ_BYTES = 2**20


def read_file(path: str | Path) -> bytes:
    """Reads a local file; anything but a regular file, such as a pipe or a device, is not opened.

    Raises:
        Unreadable: If there is no regular file, it may not be read, or it is too large for an image.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - half the time that Path takes
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise Unreadable("not a file", "a pipe, a socket or a device lies there, which is not opened")
        # Opened without waiting: a file may have become a pipe since.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise too_large_error(size)
            return _read_to_end(file, size)
    except (FileNotFoundError, ValueError):
        # No file has a name with a NUL in it.
        raise Unreadable("missing", "no such file") from None
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or str(error)) from None


def _read_to_end(file: io.RawIOBase, size: int) -> bytes:
    """Reads a file that may be larger than its stated size, as those of /proc are."""
    content = file.read(size + 1) or b""
    if len(content) == size:
        return content
    more = bytearray(content)
    while part := file.read(_READ_BYTES):
        more += part
        if len(more) > MAX_FILE_BYTES:
            raise too_large_error(len(more))
    return bytes(more)


def read_object(store: Store, uri: str, version: str = "") -> bytes:
    """Downloads an object from a store.

    Args:
        store: The store.
        uri: Address of the object.
        version: Version of the object; empty: the latest.

    Raises:
        Unreadable: If there is no such object, or it is too large for an image.
        HeadstartError: If the store cannot be read.
    """
    try:
        return store.read(uri, version, MAX_FILE_BYTES)
    except NotFound as error:
        raise Unreadable("missing", str(error)) from None
    except TooLarge as error:
        raise Unreadable("too large", str(error)) from None


def too_large_error(size: int) -> Unreadable:
    """Error for a file of more than `MAX_FILE_BYTES`.

    Args:
        size: Size of the file in bytes.
    """
    return Unreadable("too large", f"{size:,} bytes; the most for an image is {MAX_FILE_BYTES:,}")
