"""Peak memory of a piece of code in this process, as Linux tells it.

`ru_maxrss` would not do: a process inherits the peak of the one that started it, and it never falls.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

_PROCESS = Path("/proc/self")


@dataclasses.dataclass
class MemoryGrowth:
    """Growth of the memory of this process.

    Attributes:
        most_bytes: Peak of the resident memory within the `with` block above the size at its start, in bytes.
    """

    most_bytes: int = 0


@contextlib.contextmanager
def measure_growth() -> Iterator[MemoryGrowth]:
    """Measures the growth of resident memory within a `with` block; known after it, whether or not it raises."""
    growth = MemoryGrowth()
    (_PROCESS / "clear_refs").write_text("5")
    before = _read_status("VmRSS")
    try:
        yield growth
    finally:
        growth.most_bytes = _read_status("VmHWM") - before


def _read_status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
