"""Object stores and the web: reading `http(s)://`, `gs://` and `s3://` addresses, and folders that can be written.

`open_store` reads objects by their addresses; `open_tree` reads and writes the files of one folder or prefix.
"""

from headstart.components.core.storage.stores.addresses import (
    SCHEMES,
    WRITABLE_SCHEMES,
    check_address,
    distinct_without_secrets,
    has_credentials,
    is_local,
    is_remote,
    is_web,
    scheme_of,
    split_address,
    without_secrets,
)
from headstart.components.core.storage.stores.objects import Conflict, NotFound, Store, StoredObject, TooLarge
from headstart.components.core.storage.stores.tree import ObjectTree, Tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home

__all__ = [
    "WRITABLE_SCHEMES",
    "Conflict",
    "NotFound",
    "ObjectTree",
    "Store",
    "StoredObject",
    "TooLarge",
    "Tree",
    "check_address",
    "distinct_without_secrets",
    "has_credentials",
    "is_local",
    "is_remote",
    "is_web",
    "open_store",
    "open_tree",
    "scheme_of",
    "without_secrets",
]


def open_store(uri: str) -> Store:
    """A reader for addresses of the same scheme as `uri`; up to 32 threads can share it.

    Raises:
        HeadstartError: The scheme is not known, its client is not installed, or the environment's credentials
            cannot be used.
    """
    # The clients take up to a second to import, so each waits until it is needed.
    match scheme_of(uri):
        case "http" | "https":
            from headstart.components.core.storage.stores.http import HttpStore

            return HttpStore()
        case "gs":
            from headstart.components.core.storage.stores.gcs import GcsStore

            return GcsStore()
        case "s3":
            from headstart.components.core.storage.stores.s3 import S3Store

            return S3Store()
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    raise HeadstartError(f"no store for {without_secrets(uri)!r}; known are {known}")


def open_tree(uri: str) -> Tree:
    """A folder to read and write: a path, or a `gs://` or `s3://` address of a prefix.

    Raises:
        HeadstartError: It is an address of another kind or a mistyped one, its client is not installed, or the
            environment's credentials cannot be used.
    """
    check_address(uri)
    match scheme_of(uri):
        case "" if uri:
            from headstart.components.core.storage.stores.disk import DiskTree

            return DiskTree(expand_home(uri).absolute())
        case "gs":
            from headstart.components.core.storage.stores.gcs import GcsStore

            split_address(uri)
            return ObjectTree(GcsStore(writes=True), uri)
        case "s3":
            from headstart.components.core.storage.stores.s3 import S3Store

            split_address(uri)
            return ObjectTree(S3Store(), uri)
    raise HeadstartError(f"cannot write to {without_secrets(uri)!r}; give a folder, a gs:// or an s3:// address")
