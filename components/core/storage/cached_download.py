"""Pretrained weights by their path or address: those from an address are cached on this machine, and checked."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headstart.components.core.storage.atomic import move_into_place, temporary_folder_in
from headstart.components.core.storage.cache import cache_folder, discard_entry, evict_unused, mark_used
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.stores import is_remote, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase
from headstart.components.core.util.paths import expand_home

_CACHE_BYTES = 10 * 2**30
_FOLDER = "weights"


@contextlib.contextmanager
def open_pretrained_file(place: str, sha256: str, way_out: str) -> Iterator[Path]:
    """Finds a file on this machine; one from an address is downloaded, unless the cache has it in this version.

    Args:
        place: Path, or an `http(s)://`, `gs://` or `s3://` address.
        sha256: Checksum that the file must have, in lower-case hexadecimal; empty: any. With it, a copy in the cache
            is used without a request to the address.
        way_out: End of the message about a download that failed.

    Yields:
        Path of the file, of any name.

    Raises:
        HeadstartError: If it cannot be downloaded, or has another checksum.
    """
    if is_remote(place):
        with _open_remote(place, sha256, way_out) as file:
            yield file
    else:
        yield _check_sha256(expand_home(place), sha256, place)


@contextlib.contextmanager
def _open_remote(address: str, sha256: str, way_out: str) -> Iterator[Path]:
    """The file at an address: from the cache if it is there in this version or with this digest, else downloaded."""

    def download(target: Path) -> Path:
        log_phase("downloading weights")
        with _explain(way_out):
            open_store(address).download(address, target)
        return _check_sha256(target, sha256, without_secrets(address))

    folder = cache_folder(_FOLDER)
    with contextlib.ExitStack() as stack:
        if folder is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
            yield download(place / "file")
            return
        version = ""
        if not sha256:
            with _explain(way_out):
                version = next((found.version for found in open_store(address).list(address)), "")
        key = hashlib.sha256(f"{address}\n{version}".encode()).hexdigest()
        pattern = f"*-{sha256}" if sha256 else f"{key}-*"
        for kept in folder.glob(pattern) if sha256 or version else ():
            if sha256_of_file(kept) == kept.name.rpartition("-")[2]:
                mark_used(kept)
                event("weights_from_cache", file=kept)
                yield kept
                return
            discard_entry(kept)
        place = stack.enter_context(temporary_folder_in(folder))
        file = download(place / "file")
        kept = move_into_place(file, folder / f"{key}-{sha256_of_file(file)}")
        evict_unused(folder, _CACHE_BYTES, kept)
        yield kept


@contextlib.contextmanager
def _explain(way_out: str) -> Iterator[None]:
    try:
        yield
    except HeadstartError as error:
        raise type(error)(f"cannot download weights: {error}; or {way_out}") from None


def _check_sha256(file: Path, sha256: str, name: str) -> Path:
    if sha256 and (there := sha256_of_file(file)) != sha256:
        raise HeadstartError(f"weights {name!r} have sha256 {there}, not {sha256}; check the file, or the digest")
    return file
