"""How much of the machine is ours."""

import contextlib
import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Processor cores that this process may use: by its affinity, and by the limit of its container if that is less.

    All of the machine's where the system does not tell.
    """
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(ours, math.ceil(_quota(_CGROUPS) or ours)))


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or the limit of its container if that is less."""
    ours = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            # Where there is no limit, version 2 says max, and version 1 a number that no machine has.
            return min(ours, int((_CGROUPS / name).read_text()))
    return ours


def _quota(cgroups: Path) -> float:
    """Cores' worth of time that the container gets (cgroups of version 2 or 1); 0 where there is no limit."""
    files = ([cgroups / "cpu.max"], [cgroups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")])
    for parts in files:
        try:
            quota, period = " ".join(part.read_text() for part in parts).split()
            return max(0, int(quota)) / int(period)
        except (OSError, ValueError):
            continue
    return 0.0
