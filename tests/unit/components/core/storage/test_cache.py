import os
from pathlib import Path

import pytest

from headstart.components.core.storage.cache import CACHE, cache_folder, discard_entry, evict_unused


def test_folder_is_the_named_one_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "mine"))
    assert cache_folder("weights") == tmp_path / "mine" / "weights"
    monkeypatch.setenv(CACHE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    assert cache_folder("records") == tmp_path / "users" / "headstart" / "records"
    assert (tmp_path / "users" / "headstart" / "records").is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    assert cache_folder("weights") is None


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    for number, name in enumerate("abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(100))
        os.utime(tmp_path / name, (number, number))
    evict_unused(tmp_path, 250, tmp_path / "a")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "d"]
    discard_entry(tmp_path / "d")
    discard_entry(tmp_path / "gone")
    evict_unused(tmp_path, 0, tmp_path / "a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
