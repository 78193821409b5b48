"""Interfaces of stores: reading objects, and writing them."""

import abc
import dataclasses
import errno
import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.atomic import open_atomic
from headstart.components.core.storage.stores.addresses import without_secrets
from headstart.components.core.storage.stores.transfer import (
    Changed,
    NotFound,
    Part,
    TooLarge,
    TransferInterrupted,
    call_with_retries,
    transfer,
)
from headstart.components.core.util.errors import HeadstartError

__all__ = ["Conflict", "Content", "NotFound", "Store", "StoredObject", "TooLarge", "WritableStore"]

Content = bytes | Path
"""Content to write: bytes, or the file that holds them."""


class Conflict(HeadstartError):
    """The object was written by somebody else in the meantime."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing.

    Attributes:
        uri: Full address.
        path: Path relative to the listed prefix, with forward slashes; the last part of the name if the object itself
            was listed.
        size: Size in bytes; -1 if the server does not state it.
        version: Token that changes with the content; empty if the server does not state one.
    """

    uri: str
    path: str
    size: int
    version: str


class Store(abc.ABC):
    """A place to read objects from. Several threads can share it.

    Temporary failures are retried until a minute has passed without a new byte. Interrupted transfers resume where
    they stopped. Bytes are returned as they are stored, and only if they have the checksum that the store states.
    """

    @abc.abstractmethod
    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists the object that `uri` names, or else all objects below it; nothing if there is neither.

        Pages are fetched as they are needed. Objects whose names end with a slash stand for folders and are left
        out.

        Raises:
            NotFound: If there is no such bucket.
            HeadstartError: If it cannot be listed.
        """

    @abc.abstractmethod
    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Requests an object's bytes from `start` on, once; the server may answer with all of them.

        Args:
            uri: Address of the object.
            start: Number of the first byte, from 0; above 0 only with a version.
            version: Version that must still be there; empty: any.

        Raises:
            TransferInterrupted: If another attempt may succeed.
            Changed: If the object is there in another version.
            NotFound: If there is no such object.
            HeadstartError: If it cannot be read.
        """

    def read(self, uri: str, version: str = "", max_bytes: int | None = None) -> bytes:
        """Reads a whole object into memory.

        Args:
            uri: Address of the object.
            version: Version that was listed; empty: any.
            max_bytes: Size limit in bytes; a larger object is not transferred to its end. None: no limit.

        Raises:
            NotFound: If there is no such object.
            TooLarge: If it has more than `max_bytes`.
            HeadstartError: If it cannot be read, or is there in another version.
        """
        file = io.BytesIO()
        self._transfer(uri, file, version, max_bytes)
        return file.getvalue()

    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """Reads a whole object into memory; returns its bytes and its version.

        Raises:
            NotFound: If there is no such object.
            HeadstartError: If it cannot be read.
        """
        file = io.BytesIO()
        version = self._transfer(uri, file)
        return file.getvalue(), version

    def download(self, uri: str, target: Path, version: str = "") -> Path:
        """Downloads a whole object to `target`, which appears when it is complete.

        Args:
            uri: Address of the object.
            target: File to write, in a folder that exists.
            version: Version that was listed; empty: any.

        Returns:
            `target`.

        Raises:
            NotFound: If there is no such object.
            HeadstartError: If it cannot be read or written, or is there in another version.
        """
        try:
            # Nobody relies on it after a power failure: the folder is temporary, or the checksum is compared.
            with open_atomic(target, flush=False) as file:
                self._transfer(uri, file, version)
        except OSError as error:
            raise write_error(target, error) from None
        return target

    def _transfer(self, uri: str, file: io.BufferedIOBase, version: str = "", max_bytes: int | None = None) -> str:
        return transfer(
            without_secrets(uri),
            lambda start, version: self.open_part(uri, start, version),
            file,
            version=version,
            max_bytes=max_bytes,
        )


class WritableStore(Store):
    """A place to read objects from and to write them to.

    Attributes:
        no_version: Version that no object has.
    """

    no_version: str

    @abc.abstractmethod
    def put(self, uri: str, file: io.BufferedIOBase, version: str | None) -> str:
        """Sends an object once, with a checksum for the server to verify; it is complete or absent.

        Args:
            uri: Address of the object.
            file: Content, seekable, sent from its first byte on.
            version: Version to replace; empty: there must be no such object; None: any.

        Returns:
            The new version.

        Raises:
            TransferInterrupted: If another attempt may succeed; the object may have been written nevertheless.
            Changed: If the present version is not `version`.
            HeadstartError: If it cannot be written.
            OSError: If the file cannot be read.
        """

    @abc.abstractmethod
    def delete(self, uri: str) -> None:
        """Deletes an object, if there is one.

        Raises:
            HeadstartError: If it cannot be deleted.
        """

    def write(self, uri: str, content: Content, version: str | None = None) -> str:
        """Writes an object atomically, with retries.

        Args:
            uri: Address of the object.
            content: Bytes, or the file that holds them, which is not read into memory.
            version: Version to replace; empty: there must be no such object; None: any.

        Returns:
            The new version.

        Raises:
            Conflict: If the present version is not `version`.
            HeadstartError: If it cannot be written.
            OSError: If the file cannot be read.
        """
        interrupted = False

        def attempt(file: io.BufferedIOBase) -> str:
            nonlocal interrupted
            file.seek(0)
            try:
                return self.put(uri, file, version)
            except TransferInterrupted:
                interrupted = True
                raise
            except Changed:
                # It may be our own write, whose answer was lost.
                found = self._version_of(uri, file) if interrupted else ""
                if found:
                    return found
                raise conflict_error(uri) from None

        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            return call_with_retries(uri, lambda: attempt(file), "write")

    def _version_of(self, uri: str, file: io.BufferedIOBase) -> str:
        """The version of an object if its bytes are those of `file`; empty if they differ or there is none."""
        with tempfile.TemporaryFile() as there:
            try:
                version = self._transfer(uri, there)
            except NotFound:
                return ""
            digests = []
            for each in (file, there):
                each.seek(0)
                digests.append(hashlib.file_digest(each, "sha256").digest())
        return version if digests[0] == digests[1] else ""


def conflict_error(name: str | Path) -> Conflict:
    """The error about a file that is not there in the version that was to be replaced."""
    return Conflict(f"{name} was written by somebody else in the meantime; read it, and try again")


def write_error(target: Path, error: OSError) -> HeadstartError:
    """The error about a file that cannot be written."""
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    ways = "make room there, or choose another folder"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        ways = "get the right to write there, or choose another folder"
    return HeadstartError(f"cannot write {target}: {error.strerror} ({name}); {ways}")
