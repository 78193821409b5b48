"""Images that a table names: finds them on disk, in a store or on the web, and reads them."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

from headstart.components.core.sources.file_contents import read_file, read_object
from headstart.components.core.sources.file_names import escape_text, split_of_path
from headstart.components.core.sources.folder import walk_folder
from headstart.components.core.sources.path_index import PathIndex, local_path_of
from headstart.components.core.sources.source import Loader, Unreadable
from headstart.components.core.sources.tables import Row
from headstart.components.core.storage.stores import Store, is_remote, is_web, open_store, scheme_of
from headstart.components.core.storage.stores.hosts import HostPatience
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home


@dataclasses.dataclass(frozen=True, slots=True)
class LocatedImage:
    """Location of an image that a table names, or the reason why there is none.

    Attributes:
        address: Absolute path or address; empty where there is a reason.
        reason: Short reason to count by; empty: the address may be read.
        detail: Description of the problem, a clause.
    """

    address: str
    reason: str = ""
    detail: str = ""


class ImageLocator:
    """Locates and reads images that a table names, beside it or elsewhere.

    Args:
        base: Folder or address that relative paths start from.
        name: File name of the table. Where it names a split, images of other splits are not matched.
    """

    def __init__(self, base: str, name: str = "") -> None:
        self._base = base
        self._store = functools.lru_cache(maxsize=None)(lambda scheme: open_store(f"{scheme}://"))
        self._hosts = HostPatience()
        self._split = split_of_path(name)
        self._index = functools.cache(lambda: PathIndex(_files_below(Path(base)), Path(base).absolute().parts))

    def has_remote(self, rows: Iterable[Row]) -> bool:
        """Whether reading an image of some row waits for a network."""
        return is_remote(self._base) or any(is_remote(row.image) for row in rows)

    def locate(self, image: str, folder: str = "") -> LocatedImage:
        """Finds the absolute address or path of an image; nothing is downloaded.

        Args:
            image: Path or address as the table has it.
            folder: Folder of the table, relative to the base; empty: the base itself.
        """
        if not image:
            return LocatedImage("", "missing", "the manifest names no file")
        if is_remote(image):
            try:
                has_host = bool(urlsplit(image).netloc)
            except ValueError as error:
                return LocatedImage("", "unreadable", f"this is no address: {error}")
            return LocatedImage(image) if has_host else LocatedImage("", "unreadable", "the address has no host")
        if scheme_of(image) not in ("", "file"):
            return LocatedImage("", "unreadable", f"there is no store for {scheme_of(image)}:// addresses")
        if is_remote(self._base):
            return self._locate_beside_remote(image, folder)
        return self._locate_on_disk(image, folder)

    def loader(self, image: LocatedImage) -> Loader:
        """Loader of an image's bytes, for any thread; it raises `Unreadable` for a wrong address.

        Args:
            image: Result of `locate`.
        """
        return functools.partial(self._load, image)

    def _load(self, image: LocatedImage) -> bytes:
        if image.reason:
            raise Unreadable(image.reason, image.detail)
        if not is_remote(image.address):
            return read_file(Path(image.address))
        store: Store = self._store(scheme_of(image.address))
        try:
            with self._hosts.bounded(image.address):
                return read_object(store, image.address)
        except HeadstartError as error:
            raise Unreadable("unreadable", str(error)) from None

    def _locate_beside_remote(self, image: str, folder: str) -> LocatedImage:
        if image.startswith("/") or scheme_of(image):
            return LocatedImage("", "unreadable", "a manifest from elsewhere may not name files of this machine")
        relative = image.replace("\\", "/") if "/" not in image else image
        relative = f"{folder}/{relative}" if folder else relative
        return LocatedImage(f"{self._base}/{quote(relative) if is_web(self._base) else relative}")

    def _locate_on_disk(self, image: str, folder: str) -> LocatedImage:
        """The file itself, or the only match with other slashes, another suffix, or folders above it."""
        path = local_path_of(image)
        beside = os.path.join(self._base, folder, path)  # noqa: PTH118
        if folder and os.path.lexists(beside):
            return LocatedImage(beside)
        direct = os.path.join(self._base, expand_home(path))  # noqa: PTH118 - a hundred thousand of them
        if os.path.lexists(direct) or "\0" in direct:
            return LocatedImage(direct)
        with contextlib.suppress(HeadstartError):
            matches = self._index().find(path, self._split)
            if len(matches) == 1:
                return LocatedImage(os.path.join(self._base, matches[0]))  # noqa: PTH118
            if matches:
                choice = " or ".join(map(escape_text, matches[:3]))
                return LocatedImage("", "missing", f"no such file; it could be {choice}")
        return LocatedImage(direct)


def _files_below(folder: Path) -> list[str]:
    return [str((inside / file).relative_to(folder)) for inside, files in walk_folder(folder) for file in files]
