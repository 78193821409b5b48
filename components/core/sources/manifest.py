"""Manifests: tables that list images and their classes as data of their own."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from headstart.components.core.images.unsupported import identify_unsupported_zip
from headstart.components.core.sources.columnar_list import ColumnarList
from headstart.components.core.sources.columns import SourceOptions
from headstart.components.core.sources.file_names import escape_name
from headstart.components.core.sources.image_locator import ImageLocator, LocatedImage
from headstart.components.core.sources.source import Entry, Source
from headstart.components.core.sources.tables import Row, is_table, read_table
from headstart.components.core.storage.stores import distinct_without_secrets, is_remote, is_web
from headstart.components.core.util.errors import HeadstartError

_MAX_BYTES = 2**30


def is_manifest(name: str) -> bool:
    """Whether a file, which could be any text, is a manifest by its name."""
    return is_table(name)


def base_address(address: str) -> str:
    """Address that relative paths of a stored manifest start from: without signature and file name."""
    if is_web(address):
        scheme, host, path, *_ = urlsplit(address)
        address = urlunsplit((scheme, host, path, "", ""))
    return address.rpartition("/")[0]


def open_manifest(name: str, path: Path, base: str, options: SourceOptions) -> Source:
    """Opens a manifest; see `read_table` for its formats.

    An image is named by an address, or by a path relative to the manifest; a local manifest may name absolute paths
    too. Further columns become columns of the dataset, unless they have the name of one of its own.

    Args:
        name: The manifest as the user named it, without secrets.
        path: File on disk.
        base: Folder or address (see `base_address`) that relative paths start from.
        options: Columns to read, and whether classes are needed.

    Raises:
        HeadstartError: If the file is no manifest, lacks a column, or a label is no class.
    """
    rows = _read_rows(name, path, options)
    locator = ImageLocator(base, PurePosixPath(name).name)
    images = ColumnarList(LocatedImage, (locator.locate(row.image) for row in rows))
    entries = ColumnarList(Entry, (entry_of_row(row) for row in rows))
    return Source(name, entries, lambda: map(locator.loader, images), remote=locator.has_remote(rows))


def entry_of_row(row: Row, path: str = "") -> Entry:
    """The source entry for a row of a table.

    Args:
        row: Row of a table.
        path: Path of the image in its source; empty: as the table has it.
    """
    extra = json.dumps(row.extra) if row.extra else ""
    return Entry(path or escape_image_name(row.image), row.label, row.split, extra, row.group)


def escape_image_name(image: str) -> str:
    """Name of an image as valid text, for logs and files; an address loses its credentials.

    Args:
        image: Path or address as the table has it.
    """
    try:
        remote = is_remote(image)
    except ValueError:
        # A malformed address, of which any part may be a credential.
        remote = True
    return escape_name(distinct_without_secrets(image) if remote else image)


def list_references(name: str, path: Path, base: str, options: SourceOptions) -> Iterator[str]:
    """Yields the absolute addresses or paths of the images that a manifest names; see `open_manifest`.

    Args:
        name: The manifest as the user named it, without secrets.
        path: File on disk.
        base: Folder or address that relative paths start from.
        options: Columns to read, and whether classes are needed.

    Raises:
        HeadstartError: If the file is no manifest, lacks a column, or a label is no class.
    """
    locator = ImageLocator(base, PurePosixPath(name).name)
    for row in _read_rows(name, path, options):
        image = locator.locate(row.image)
        if not image.reason:
            yield image.address


def _read_rows(name: str, path: Path, options: SourceOptions) -> list[Row]:
    if path.stat().st_size > _MAX_BYTES:
        raise HeadstartError(f"manifest {name!r} has more than {_MAX_BYTES:,} bytes; split it")
    if zipfile.is_zipfile(path):
        kind, way_out = identify_unsupported_zip(path) or ("zip archive", "give it the ending .zip")
        raise HeadstartError(f"manifest {name!r} cannot be read, as it is of the kind {kind}; {way_out}")
    rows = read_table(name, path.read_bytes(), options)
    if not rows:
        raise HeadstartError(f"manifest {name!r} holds no files: it lists no image; write one a line")
    return rows
