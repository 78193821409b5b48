"""A folder of known files, on disk or in a store."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.stores import is_remote, open_store
from headstart.components.core.util.paths import expand_home


@contextlib.contextmanager
def local_folder(address: str, files: list[str]) -> Iterator[Path]:
    """The folder itself, or a copy of its files that is there until the `with` block ends.

    Args:
        address: A path, or an `http(s)://`, `gs://` or `s3://` address.
        files: Names of the files to copy.

    Raises:
        HeadstartError: One of them cannot be read.
    """
    if not is_remote(address):
        yield expand_home(address)
        return
    store = open_store(address)
    with tempfile.TemporaryDirectory(prefix="headstart-") as copy:
        for name in files:
            store.download(f"{address.rstrip('/')}/{name}", Path(copy) / name)
        yield Path(copy)
