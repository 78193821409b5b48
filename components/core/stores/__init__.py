"""Reading from object stores and the web: one interface for `http(s)://`, `gs://` and `s3://` addresses."""

from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores.addresses import SCHEMES, is_remote, scheme_of, without_secrets
from headstart.components.core.stores.objects import NotFound, Store, StoredObject, TooLarge

__all__ = ["NotFound", "Store", "StoredObject", "TooLarge", "is_remote", "open_store", "scheme_of", "without_secrets"]


def open_store(uri: str) -> Store:
    """A reader for addresses of the same scheme as `uri`; up to 32 threads can share it.

    Raises:
        HeadstartError: The scheme is not known, its client is not installed, or the environment's credentials
            cannot be used.
    """
    # The clients take up to a second to import, so each waits until it is needed.
    match scheme_of(uri):
        case "http" | "https":
            from headstart.components.core.stores.http import HttpStore

            return HttpStore()
        case "gs":
            from headstart.components.core.stores.gcs import GcsStore

            return GcsStore()
        case "s3":
            from headstart.components.core.stores.s3 import S3Store

            return S3Store()
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    raise HeadstartError(f"no store for {without_secrets(uri)!r}; known are {known}")
