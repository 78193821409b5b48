"""Reading `http(s)://`, `gs://` and `s3://` addresses, and reading and writing folders on disk and in object stores.

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
    """Opens a reader for addresses with the scheme of `uri`; up to 32 threads can share it.

    Raises:
        HeadstartError: If the scheme is unknown, its client is not installed, or the credentials of the environment
            cannot be used.
    """
    # A client takes up to a second to import.
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
    """Opens a folder for reading and writing: a path, or a `gs://` or `s3://` address of a prefix.

    Raises:
        HeadstartError: If the address is mistyped or has another scheme, its client is not installed, or the
            credentials of the environment cannot be used.
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
