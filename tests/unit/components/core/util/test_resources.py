from pathlib import Path

import pytest

from headstart.components.core.util import resources as module
from headstart.components.core.util.resources import available_cores, available_memory


def limit(files: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the container's limits be what files say."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(module, "_CGROUPS", folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({}, 8),
    ],
)
def test_limit_of_the_container_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(files, tmp_path, monkeypatch)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert available_cores() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1000000\n"}, 1_000_000),
        ({"memory.max": "max\n"}, 4_096_000),
        ({"memory/memory.limit_in_bytes": "2000000\n"}, 2_000_000),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 4_096_000),
        ({}, 4_096_000),
    ],
)
def test_memory_is_that_of_the_container(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(files, tmp_path, monkeypatch)
    monkeypatch.setattr(module.os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_memory() == expected
