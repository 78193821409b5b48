"""Starting TensorFlow: settings of memory and imports for a process that computes with it."""

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from headstart.components.core.util.logs import log_phase

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Numbers of `mallopt` settings, from glibc's malloc.h."""

_SELDOM_USED = frozenset(
    {
        "keras.visualization",
        "keras.wrappers",
        "keras._tf_keras.keras.visualization",
        "keras._tf_keras.keras.wrappers",
        "matplotlib.pyplot",
        "pandas",
    }
)
"""Modules that Keras imports, in a quarter of its import time, and that training does not use."""


@functools.cache
def start_tensorflow() -> None:
    """Sets up memory and imports of this process and imports TensorFlow; later calls do nothing.

    TensorFlow allocates the memory of every activation anew. By default glibc returns large blocks to the system at
    once, and the system clears them page by page before it hands them out again: half of a network's time on a CPU.
    Here freed memory is kept, in one pool for all threads. On two cores MobileNetV2 at 160 px then passes 165 to 190
    images/s forward instead of 89.

    The import takes 1.8 s instead of 2.5 s. Modules that training does not use are imported on first use, and
    Python's garbage collector is paused, since it would scan the new modules again and again. It is not run at the
    end of the process either, which would take a second.

    If TensorFlow was imported before, only the settings of the memory change.
    """
    if "tensorflow" not in sys.modules:
        log_phase("starting TensorFlow")
    _keep_freed_memory()
    with _import_seldom_used_lazily(), without_garbage_collection():
        import tensorflow  # noqa: F401
    atexit.register(gc.freeze)


def free_networks() -> None:
    """Frees the networks of this process that nothing refers to any more, where one after another is trained."""
    import keras

    keras.utils.clear_session(free_memory=True)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pauses garbage collection: it takes a fifth of the time of imports and model building, and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _keep_freed_memory() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # Before TensorFlow starts threads: each would get a memory pool of its own.
        for setting, value in ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_MAX, 0), (_ARENA_MAX, 1)):
            libc.mallopt(setting, value)


class _SeldomUsed:
    """Finds modules as Python does, but delays their execution until an attribute is read."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _SELDOM_USED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextlib.contextmanager
def _import_seldom_used_lazily() -> Iterator[None]:
    finder = _SeldomUsed()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
