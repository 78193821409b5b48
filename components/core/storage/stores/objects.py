"""What every store offers."""

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
    Interrupted,
    NotFound,
    Part,
    TooLarge,
    patiently,
    transfer,
)
from headstart.components.core.util.errors import HeadstartError

__all__ = ["Conflict", "Content", "NotFound", "Store", "StoredObject", "TooLarge", "WritableStore"]

Content = bytes | Path
"""What is to be written: the bytes themselves, or the file that has them."""


class Conflict(HeadstartError):
    """Somebody else has written the object in the meantime."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing.

    Attributes:
        uri: Its full address.
        path: Relative to the listed prefix, with forward slashes; the last part of its name where it was listed
            itself.
        size: In bytes; -1 where the server does not say.
        version: Changes when the content does; empty where the server does not say.
    """

    uri: str
    path: str
    size: int
    version: str


class Store(abc.ABC):
    """A place to read objects from. Its methods may be called from several threads at once.

    What fails in passing is tried again until a minute has gone by without a new byte. Interrupted transfers resume
    where they stopped. Bytes are handed over as they are stored, and only if the store's checksum agrees.
    """

    @abc.abstractmethod
    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists the object that `uri` names, or else all objects below it; nothing where there is neither.

        Pages are fetched as they are needed. Objects whose names end with a slash stand for folders and are left
        out.

        Raises:
            NotFound: There is no such bucket.
            HeadstartError: It cannot be listed.
        """

    @abc.abstractmethod
    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Asks the server once for an object's bytes from `start` on; a server may answer with all of them.

        Args:
            uri: The object's address.
            start: The first byte wanted; above 0 only with a version.
            version: The one that must still be there; empty for any.

        Raises:
            Interrupted: It may work when tried again.
            Changed: The object is there in another version.
            NotFound: There is no such object.
            HeadstartError: It cannot be read.
        """

    def read(self, uri: str, version: str = "", max_bytes: int | None = None) -> bytes:
        """Reads a whole object into memory.

        Args:
            uri: The object's address.
            version: The one that was listed; empty for whichever is there.
            max_bytes: The largest object to accept, in bytes; a larger one is not transferred to its end.

        Raises:
            NotFound: There is no such object.
            TooLarge: It has more than `max_bytes`.
            HeadstartError: It cannot be read, or is no longer in that version.
        """
        file = io.BytesIO()
        self._transfer(uri, file, version, max_bytes)
        return file.getvalue()

    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """Reads a whole object into memory, and says which version it was.

        Raises:
            NotFound: There is no such object.
            HeadstartError: It cannot be read.
        """
        file = io.BytesIO()
        version = self._transfer(uri, file)
        return file.getvalue(), version

    def download(self, uri: str, target: Path, version: str = "") -> Path:
        """Downloads a whole object to `target`, which appears when every byte has come.

        Args:
            uri: The object's address.
            target: The file to make, in a folder that exists.
            version: The one that was listed; empty for whichever is there.

        Returns:
            `target`.

        Raises:
            NotFound: There is no such object.
            HeadstartError: It cannot be read or written, or is no longer in that version.
        """
        try:
            # After a power failure nobody needs it: it lies in a temporary folder, or its checksum is compared.
            with open_atomic(target, flush=False) as file:
                self._transfer(uri, file, version)
        except OSError as error:
            raise not_written(target, error) from None
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
    """A place to write objects to as well.

    Attributes:
        no_version: A version that no object has.
    """

    no_version: str

    @abc.abstractmethod
    def put(self, uri: str, file: io.BufferedIOBase, version: str | None) -> str:
        """Sends an object once, with a checksum for the server to verify; it is there whole or not at all.

        Args:
            uri: The object's address.
            file: What to send, seekable, from its first byte on.
            version: The one that it replaces; empty: there must be none yet; None: whatever is there.

        Returns:
            The version that it has now.

        Raises:
            Interrupted: It may work when tried again; the object may have been written all the same.
            Changed: What is there is not `version`.
            HeadstartError: It cannot be written.
            OSError: The file cannot be read.
        """

    @abc.abstractmethod
    def delete(self, uri: str) -> None:
        """Removes an object, if it is there.

        Raises:
            HeadstartError: It cannot be removed.
        """

    def write(self, uri: str, content: Content, version: str | None = None) -> str:
        """Writes an object, whole or not at all.

        Args:
            uri: The object's address.
            content: Its bytes, or the file that has them, which is not read into memory.
            version: The one that it replaces; empty: there must be none yet; None: whatever is there.

        Returns:
            The version that it has now.

        Raises:
            Conflict: What is there is not `version`.
            HeadstartError: It cannot be written.
            OSError: The file cannot be read.
        """
        interrupted = False

        def attempt(file: io.BufferedIOBase) -> str:
            nonlocal interrupted
            file.seek(0)
            try:
                return self.put(uri, file, version)
            except Interrupted:
                interrupted = True
                raise
            except Changed:
                # The write whose answer was lost may be what is there.
                found = self._version_of(uri, file) if interrupted else ""
                if found:
                    return found
                raise overtaken(uri) from None

        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            return patiently(uri, lambda: attempt(file), "write")

    def _version_of(self, uri: str, file: io.BufferedIOBase) -> str:
        """The version of an object that has the bytes of `file`; empty where there is another, or none."""
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


def overtaken(name: str | Path) -> Conflict:
    """What to tell of a file that is there in another version than the one to replace."""
    return Conflict(f"{name} was written by somebody else in the meantime; read it, and try again")


def not_written(target: Path, error: OSError) -> HeadstartError:
    """What to tell of a file that cannot be written."""
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    ways = "make room there, or choose another folder"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        ways = "get the right to write there, or choose another folder"
    return HeadstartError(f"cannot write {target}: {error.strerror} ({name}); {ways}")
