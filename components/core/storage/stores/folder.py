"""Folders of known files, downloaded from a store."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.stores import is_remote, open_store
from headstart.components.core.util.paths import expand_home


@contextlib.contextmanager
def download_folder(address: str, files: list[str]) -> Iterator[Path]:
    """Downloads files of a folder, unless it is on this machine; the copy is deleted when the `with` block ends.

    Args:
        address: Path, or `http(s)://`, `gs://` or `s3://` address, of the folder.
        files: Names of the files to download; those in folders of it have a `/`.

    Yields:
        The folder itself, or the folder of the copies.

    Raises:
        HeadstartError: If a file cannot be read.
    """
    if not is_remote(address):
        yield expand_home(address)
        return
    store = open_store(address)
    with tempfile.TemporaryDirectory(prefix="headstart-") as copy:
        for name in files:
            target = Path(copy) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download(f"{address.rstrip('/')}/{name}", target)
        yield Path(copy)
