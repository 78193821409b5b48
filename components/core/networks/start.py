"""Starting TensorFlow: what a process that computes with it does first."""

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
"""Modules that Keras imports at once, together a quarter of its time, and that training does not use."""


@functools.cache
def start_tensorflow() -> None:
    """Imports TensorFlow, with this process' memory and imports set up for it; later calls do nothing.

    TensorFlow asks for the memory of every activation anew. By itself glibc gives large pieces back to the system at
    once, and the system clears them page by page before it hands them out again: half of the time that a network
    takes on a CPU. So they are kept for the next activations, in one pool for all threads: on two cores MobileNetV2
    at 160 px passes 165 to 190 images/s forward instead of 89.

    The import itself takes 1.8 s instead of 2.5 s: modules that training does not use are imported when something of
    them is used, and Python's garbage collector waits, as it would look again and again through modules that stay for
    good. It does not look through them at the process's end either, which would take a second.

    A process that has imported TensorFlow before keeps it as it is, apart from the settings of its memory.
    """
    _keep_freed_memory()
    with _seldom_used_later(), without_garbage_collection():
        import tensorflow  # noqa: F401
    atexit.register(gc.freeze)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Imports and model building leave no garbage, and looking for it takes a fifth of their time."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _keep_freed_memory() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # Before TensorFlow starts threads, which would get pools of their own.
        for setting, value in ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_MAX, 0), (_ARENA_MAX, 1)):
            libc.mallopt(setting, value)


class _SeldomUsed:
    """Finds modules as Python does, but has them executed when the first of their attributes is read."""

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
def _seldom_used_later() -> Iterator[None]:
    finder = _SeldomUsed()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
