"""Folders that can be read and written, wherever they are."""

import abc
import secrets
from pathlib import Path, PurePosixPath

from headstart.components.core.storage.stores.addresses import without_secrets
from headstart.components.core.storage.stores.objects import Conflict, Content, WritableStore
from headstart.components.core.util.errors import HeadstartError

PROBE = ".headstart-probe"
"""Beginning of the name of a file that `check_writable` asks to write on a condition that cannot hold."""


class Tree(abc.ABC):
    """A folder on disk, or everything below a prefix in a store; files are named relative to it, with slashes.

    Every file is there whole or not at all, whatever happens while it is written. Methods may be called from several
    threads and processes at once.

    Attributes:
        address: The folder, as it may be shown.
    """

    address: str

    @abc.abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Names of all files, or of those below one folder, in order; empty where there is no such folder.

        Raises:
            HeadstartError: They cannot be listed.
        """

    @abc.abstractmethod
    def read(self, name: str) -> tuple[bytes, str]:
        """Reads a whole file into memory, and says which version it was.

        Raises:
            NotFound: There is no such file.
            HeadstartError: It cannot be read.
        """

    @abc.abstractmethod
    def download(self, name: str, target: Path) -> Path:
        """Copies a file to `target`, in a folder that exists, and returns it.

        Raises:
            NotFound: There is no such file.
            HeadstartError: It cannot be read or written.
        """

    @abc.abstractmethod
    def write(self, name: str, content: Content) -> None:
        """Writes a file, in the place of whatever is there.

        Raises:
            HeadstartError: It cannot be written.
        """

    @abc.abstractmethod
    def replace(self, name: str, content: Content, version: str) -> str:
        """Writes a file in the place of the version that was read; of two writers at once, one does.

        Args:
            name: The file.
            content: Its bytes, or the file that has them.
            version: What `read` said; empty: there must be no such file yet.

        Returns:
            The version that it has now.

        Raises:
            Conflict: It is there in another version, or is there, or is no longer there.
            HeadstartError: It cannot be written.
        """

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Finds out whether files can be written, and leaves nothing behind, no new folder either.

        Raises:
            HeadstartError: If they cannot.
        """


class ObjectTree(Tree):
    """What is below a prefix in a store.

    Args:
        store: Where it is.
        uri: The prefix, or a whole bucket.
    """

    def __init__(self, store: WritableStore, uri: str) -> None:
        self._store = store
        self._uri = uri.rstrip("/")
        self.address = without_secrets(self._uri)

    def names(self, folder: str = "") -> list[str]:
        """Lists the objects."""
        start = f"{checked(folder)}/" if folder else ""
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
        """Uploads an object on the condition that the generation (Google) or the ETag (S3) is the same."""
        return self._store.write(self._of(name), content, version)

    def check_writable(self) -> None:
        """Asks to replace a version that cannot be there: who may write is told so, and nothing is written."""
        name = f"{PROBE}-{secrets.token_hex(8)}"
        try:
            self.replace(name, b"", self._store.no_version)
        except Conflict:
            return
        except HeadstartError as error:
            # Nobody has asked for a file of that name.
            raise HeadstartError(str(error).replace(f"/{name}", "")) from None
        # A store that ignores the condition has written it.
        self._store.delete(self._of(name))

    def _of(self, name: str) -> str:
        return f"{self._uri}/{checked(name)}"


def checked(name: str) -> str:
    """A file's or folder's name, which must not lead out of its tree.

    Raises:
        HeadstartError: It does, or is none.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "/".join(parts) != name or "\0" in name:
        raise HeadstartError(f"{name!r} is no name of a file in a folder; write it relative to it, with slashes")
    return name
