"""Folders that can be read and written, on disk or in object stores."""

import abc
import secrets
from pathlib import Path, PurePosixPath

from headstart.components.core.storage.stores.addresses import without_secrets
from headstart.components.core.storage.stores.objects import Conflict, Content, WritableStore
from headstart.components.core.util.errors import HeadstartError

PROBE = ".headstart-probe"
"""Beginning of the name of the file that `check_writable` tries to write, on a condition that cannot hold."""


class Tree(abc.ABC):
    """A folder on disk, or everything below a prefix in a store. Names of files are relative to it, with slashes.

    Every file is complete or absent, whatever happens while it is written. Several threads and processes can write at
    once.

    Attributes:
        address: Address of the folder, without secrets.
    """

    address: str

    @abc.abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Sorted names of all files, or of those below one folder; empty if there is no such folder.

        Raises:
            HeadstartError: If they cannot be listed.
        """

    @abc.abstractmethod
    def read(self, name: str) -> tuple[bytes, str]:
        """Reads a whole file into memory; returns its bytes and its version.

        Raises:
            NotFound: If there is no such file.
            HeadstartError: If it cannot be read.
        """

    @abc.abstractmethod
    def download(self, name: str, target: Path) -> Path:
        """Copies a file to `target`, in a folder that exists; returns `target`.

        Raises:
            NotFound: If there is no such file.
            HeadstartError: If it cannot be read or written.
        """

    @abc.abstractmethod
    def write(self, name: str, content: Content) -> None:
        """Writes a file, replacing any version of it.

        Raises:
            HeadstartError: If it cannot be written.
        """

    @abc.abstractmethod
    def replace(self, name: str, content: Content, version: str) -> str:
        """Replaces a file if it still has the version that was read; of several writers at once, one wins.

        Args:
            name: Name of the file.
            content: Bytes, or the file that holds them.
            version: Version that `read` returned; empty: there must be no such file.

        Returns:
            The new version.

        Raises:
            Conflict: If the file has another version, or is there or missing against expectation.
            HeadstartError: If it cannot be written.
        """

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Checks that files can be written, and leaves nothing behind, not even a folder.

        Raises:
            HeadstartError: If they cannot.
        """


class ObjectTree(Tree):
    """All objects below a prefix in a store.

    Args:
        store: Store that holds them.
        uri: Address of the prefix, or of a whole bucket.
    """

    def __init__(self, store: WritableStore, uri: str) -> None:
        self._store = store
        self._uri = uri.rstrip("/")
        self.address = without_secrets(self._uri)

    def names(self, folder: str = "") -> list[str]:
        """Lists the objects."""
        start = f"{check_name(folder)}/" if folder else ""
        return sorted(start + found.path for found in self._store.list(f"{self._uri}/{start}"))

    def read(self, name: str) -> tuple[bytes, str]:
        """Reads an object."""
        return self._store.read_versioned(self._of(name))

    def download(self, name: str, target: Path) -> Path:
        """Downloads an object."""
        return self._store.download(self._of(name), target)

    def write(self, name: str, content: Content) -> None:
        """Uploads an object."""
        self._store.write(self._of(name), content)

    def replace(self, name: str, content: Content, version: str) -> str:
        """Uploads an object on the condition that its generation (Google) or ETag (S3) is unchanged."""
        return self._store.write(self._of(name), content, version)

    def check_writable(self) -> None:
        """Tries to replace a version that cannot exist: whoever may write gets a conflict, and nothing is written."""
        name = f"{PROBE}-{secrets.token_hex(8)}"
        try:
            self.replace(name, b"", self._store.no_version)
        except Conflict:
            return
        except HeadstartError as error:
            # The caller knows nothing of a file of that name.
            raise HeadstartError(str(error).replace(f"/{name}", "")) from None
        # A store that ignores conditions has written it.
        self._store.delete(self._of(name))

    def _of(self, name: str) -> str:
        return f"{self._uri}/{check_name(name)}"


def check_name(name: str) -> str:
    """Returns the name of a file or folder if it stays inside its tree.

    Raises:
        HeadstartError: If it is empty or leads outside.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "/".join(parts) != name or "\0" in name:
        raise HeadstartError(
            f"{name!r} is not a file name relative to a folder; write it with slashes, and without .."
        )
    return name
