"""Whatever imports TensorFlow.

TensorFlow asks for the memory of every activation anew. By itself glibc gives large pieces back to the system at
once, and the system clears them page by page before it hands them out again: half of the time that a network takes on
a CPU. So they are kept for the next ones, in one pool for all threads: on two cores MobileNetV2 at 160 px passes 165
to 190 images/s forward instead of 89.

TensorFlow is imported here, since more than a third of the time that takes can be saved. Python's garbage collector
would look again and again through modules that stay for good; it waits. And Keras would import what it draws, reads
data frames and wraps scikit-learn's estimators with, where that is installed; none of it is needed here, and what is
not there yet seems not to be installed. In this process Keras does without them from then on; whoever wants them
imports them before. The collector does not look through it all at the process's end either: that takes a second.
"""

import atexit
import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Numbers of `mallopt` settings, from glibc's malloc.h."""

_UNUSED = ("matplotlib.pyplot", "pandas", "sklearn")


@contextlib.contextmanager
def _nothing_superfluous() -> Iterator[None]:
    hidden = [name for name in _UNUSED if name not in sys.modules]
    collected = gc.isenabled()
    gc.disable()
    # What stands for a module that is not installed.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        if collected:
            gc.enable()


if sys.platform == "linux" and hasattr(_libc := ctypes.CDLL(None), "mallopt"):
    # Before TensorFlow starts threads, which would get pools of their own.
    for _setting, _value in ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_MAX, 0), (_ARENA_MAX, 1)):
        _libc.mallopt(_setting, _value)

with _nothing_superfluous():
    import tensorflow  # noqa: F401

atexit.register(gc.freeze)
