"""Processor cores and memory that this process may use."""

import contextlib
import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Number of processor cores that this process may use.

    The smaller of its affinity and the limit of its container; all cores of the machine if the system states neither.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, math.ceil(_quota(_CGROUPS) or usable)))


def available_memory() -> int:
    """Bytes of memory that this process may use: those of the machine, or its container's limit if that is less."""
    usable = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            # Without a limit, version 2 states max, and version 1 a number beyond any machine.
            return min(usable, int((_CGROUPS / name).read_text()))
    return usable


def _quota(cgroups: Path) -> float:
    """Number of cores whose time the container may use (cgroups version 2 or 1); 0 if there is no limit."""
    files = ([cgroups / "cpu.max"], [cgroups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")])
    for parts in files:
        try:
            quota, period = " ".join(part.read_text() for part in parts).split()
            return max(0, int(quota)) / int(period)
        except (OSError, ValueError):
            continue
    return 0.0
