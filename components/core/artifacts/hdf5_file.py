"""HDF5 files of unknown origin, checked before anything in them is read.

HDF5 can take values from other files: by an external link, by external storage of a dataset, or by a virtual dataset.
Whoever wrote the file then chooses what is read on this machine, and it ends up in a published network. An unknown
filter makes HDF5 load a library. Files of weights need none of these, so a file that has one is refused, even if that
part is not used.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5z

from headstart.components.core.util.errors import HeadstartError, first_line

MAX_BYTES = 4 * 2**30
"""Size limit of a file of weights, and of all its values; `keras.applications` has up to 1.4 GB."""

_MAX_OBJECTS = 100_000

_MAX_UNPACKED_RATIO = 20
_FREELY_UNPACKED = 64 * 2**20
"""Floats hardly shrink when compressed: a file that unpacks to far more was made to fill the memory."""

_BUILT_IN_FILTERS = {
    h5z.FILTER_DEFLATE,
    h5z.FILTER_SHUFFLE,
    h5z.FILTER_FLETCHER32,
    h5z.FILTER_SZIP,
    h5z.FILTER_NBIT,
    h5z.FILTER_SCALEOFFSET,
    h5z.FILTER_LZF,
}


def max_unpacked_bytes(size: int) -> int:
    """Limit of the unpacked bytes of a compressed file of weights.

    Args:
        size: Size of the file in bytes.
    """
    return min(MAX_BYTES, max(_FREELY_UNPACKED, _MAX_UNPACKED_RATIO * size))


@contextlib.contextmanager
def open_hdf5(path: Path, what: str, way_out: str) -> Iterator[h5py.File]:
    """Opens an HDF5 file for reading, once it is known to be self-contained.

    Errors in the `with` block that come from an unexpected content become one line, too.

    Args:
        path: HDF5 file.
        what: Name of the file in messages.
        way_out: End of the message.

    Raises:
        HeadstartError: If it is not an HDF5 file, is damaged, refers to another file, needs an unknown filter, or has
            more than `MAX_BYTES`, packed or unpacked.
    """
    try:
        if not path.is_file():
            raise HeadstartError(f"{what} is not a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise HeadstartError(f"{what} is larger than {MAX_BYTES // 2**30} GiB")
        with h5py.File(path, "r") as store:
            _check_closed(store, what, max_unpacked_bytes(size))
            yield store
    except HeadstartError as error:
        raise HeadstartError(f"{error}; {way_out}") from None
    except Exception as error:
        # libhdf5 raises OSError, RuntimeError, KeyError and others, depending on the damaged part.
        raise HeadstartError(f"{what} is not an HDF5 file, or is damaged ({first_line(error)}); {way_out}") from None


def read_floats(dataset: Any, what: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Reads the values of a dataset of floats as float32.

    Args:
        dataset: Object at the place of the values.
        what: Name of the values in messages.

    Raises:
        HeadstartError: If it is not a dataset of floats, or a value is NaN or infinite.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
        kind = dataset.dtype if isinstance(dataset, h5py.Dataset) else "a group"
        raise HeadstartError(f"{what} should be floating-point numbers, and is {kind}")
    with np.errstate(over="ignore"):
        values = np.asarray(dataset[()], np.float32)
    if not np.isfinite(values).all():
        raise HeadstartError(f"{what} has NaN or infinite values")
    return values


def _check_closed(store: h5py.File, what: str, most: int) -> None:
    """Checks every object that hard links lead to, each once; the path of a soft link begins at one of them."""
    waiting, seen, size = [("", h5o.open(store.id, b"/"))], set(), 0
    while waiting:
        name, item = waiting.pop()
        where = h5o.get_info(item).addr
        if where in seen:
            continue
        seen.add(where)
        if len(seen) > _MAX_OBJECTS:
            raise HeadstartError(f"{what} has more than {_MAX_OBJECTS:,} objects")
        if isinstance(item, h5d.DatasetID):
            size += _checked_size(item, name, what)
        elif isinstance(item, h5g.GroupID):
            waiting += _hard_linked(item, name, what)
        if size > most:
            raise HeadstartError(f"{what} has values of more than {most:,} bytes, far more than its own size")


def _hard_linked(group: Any, name: str, what: str) -> list[tuple[str, Any]]:
    found = []
    for each in group:
        path = f"{name}/{each.decode(errors='replace')}"
        kind = group.links.get_info(each).type
        if kind == h5l.TYPE_HARD:
            found.append((path, h5o.open(group, each)))
        elif kind != h5l.TYPE_SOFT:
            raise _reaches_outside(what, path, "is a link out of it")
    return found


def _checked_size(dataset: Any, name: str, what: str) -> int:
    """Checks that the values of a dataset lie in the file, and returns their bytes in memory."""
    made = dataset.get_create_plist()
    if made.get_external_count():
        raise _reaches_outside(what, name, "has its values in another file")
    if made.get_layout() == h5d.VIRTUAL:
        raise _reaches_outside(what, name, "is a view of other datasets")
    for number in range(made.get_nfilters()):
        if (code := made.get_filter(number)[0]) not in _BUILT_IN_FILTERS:
            raise _reaches_outside(what, name, f"needs a library for filter {code}")
    return int(dataset.get_space().get_simple_extent_npoints()) * int(dataset.get_type().get_size())


def _reaches_outside(what: str, name: str, why: str) -> HeadstartError:
    return HeadstartError(f"{what} reaches outside of itself: {name!r} {why}; nothing of it is read")
