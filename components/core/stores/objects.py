"""What every store offers."""

import abc
import dataclasses
import errno
import io
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores.addresses import without_secrets
from headstart.components.core.stores.transfer import NotFound, Part, TooLarge, transfer

__all__ = ["NotFound", "Store", "StoredObject", "TooLarge"]


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
        partial = target.with_name(target.name + ".partial")
        try:
            with partial.open("wb") as file:
                self._transfer(uri, file, version)
            return partial.replace(target)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise HeadstartError(
                f"cannot write {target}: {error.strerror} ({name}); make room there, or choose another folder"
            ) from None
        finally:
            partial.unlink(missing_ok=True)

    def _transfer(self, uri: str, file: io.BufferedIOBase, version: str = "", max_bytes: int | None = None) -> None:
        transfer(
            without_secrets(uri),
            lambda start, version: self.open_part(uri, start, version),
            file,
            version=version,
            max_bytes=max_bytes,
        )
