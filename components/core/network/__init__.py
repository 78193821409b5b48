"""Whatever imports TensorFlow.

TensorFlow asks for the memory of every activation anew. By itself glibc gives large pieces back to the system at
once, and the system clears them page by page before it hands them out again: half of the time that a network takes on
a CPU. So they are kept for the next ones, in one pool for all threads: on two cores MobileNetV2 at 160 px passes 165
to 190 images/s forward instead of 89.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Numbers of `mallopt` settings, from glibc's malloc.h."""

if sys.platform == "linux" and hasattr(_libc := ctypes.CDLL(None), "mallopt"):
    # Before TensorFlow starts threads, which would get pools of their own.
    for _setting, _value in ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_MAX, 0), (_ARENA_MAX, 1)):
        _libc.mallopt(_setting, _value)
