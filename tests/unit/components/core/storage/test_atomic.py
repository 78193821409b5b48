"""Files and folders that are complete or absent, whenever the writer is killed."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.components.core.storage import atomic
from headstart.components.core.storage.atomic import (
    complete_folder,
    make_empty_folder,
    move_into_place,
    open_atomic,
    temporary_folder_in,
    write_json,
)

KILLS = 8
SIZE = 900_000

WRITERS = {
    "file": """
for content in itertools.cycle((b"a", b"b")):
    with open_atomic(place / "file") as file:
        for _ in range(30):
            file.write(content * (SIZE // 30))
    print(flush=True)
""",
    "folder": """
for content in itertools.cycle((b"a", b"b")):
    folder = make_empty_folder(place / "folder")
    (folder / "part").write_bytes(content * SIZE)
    complete_folder(folder, "manifest.json", {"letter": content.decode()})
    print(flush=True)
""",
    "cache entry": """
for number in itertools.count():
    with temporary_folder_in(place) as made:
        (made / "entry").mkdir()
        (made / "entry" / "part").write_bytes(b"a" * SIZE)
        move_into_place(made / "entry", place / f"entry-{number}")
    print(flush=True)
""",
}
"""Programs that write without end, and print a line after each write; `place` is the folder that they write into."""


def check_file(place: Path) -> None:
    file = place / "file"
    assert not file.exists() or file.read_bytes() in (b"a" * SIZE, b"b" * SIZE)


def check_folder(place: Path) -> None:
    folder = place / "folder"
    if (folder / "manifest.json").exists():
        letter = json.loads((folder / "manifest.json").read_bytes())["letter"]
        assert (folder / "part").read_bytes() == letter.encode() * SIZE


def check_entries(place: Path) -> None:
    for entry in place.glob("entry-*"):
        assert (entry / "part").read_bytes() == b"a" * SIZE


@pytest.mark.parametrize(
    ("writer", "check"), [("file", check_file), ("folder", check_folder), ("cache entry", check_entries)]
)
def test_a_writer_killed_at_any_moment_leaves_nothing_half_written(
    writer: str, check: Callable[[Path], None], tmp_path: Path
) -> None:
    program = "import itertools, pathlib, sys\nfrom headstart.components.core.storage.atomic import *\n"
    program += f"SIZE, place = {SIZE}, pathlib.Path(sys.argv[1])\n{WRITERS[writer]}"
    moments = random.Random(0)
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) as process:
            assert process.stdout and process.stdout.readline() == b"\n"
            time.sleep(moments.uniform(0, 0.1))
            assert process.poll() is None
            process.kill()
        check(tmp_path)


def test_content_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def traced_fsync(handle: int) -> None:
        done.append(("flush", Path(f"/proc/self/fd/{handle}").readlink().name.split(".")[-1]))
        fsync(handle)

    def traced_replace(path: Path, target: Path) -> Path:
        done.append(("rename", target.name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(Path, "replace", traced_replace)
    folder = make_empty_folder(tmp_path / "folder")
    (folder / "part").write_bytes(b"a")
    complete_folder(folder, "manifest", {})
    assert done == [
        ("flush", "part"),
        ("flush", "folder"),
        ("flush", "partial"),
        ("rename", "manifest"),
        ("flush", "folder"),
    ]
    done.clear()
    with open_atomic(folder / "download", flush=False) as file:
        file.write(b"a")
    assert done == [("rename", "download")]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"a": "ä"})
    assert (tmp_path / "file").read_text(encoding="utf-8") == '{\n  "a": "ä"\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "file", float("nan"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert json.loads((tmp_path / "file").read_bytes()) == {"a": "ä"}


def test_of_writers_at_once_the_last_to_end_wins(tmp_path: Path) -> None:
    with open_atomic(tmp_path / "file") as one:
        with open_atomic(tmp_path / "file") as other:
            one.write(b"one")
            other.write(b"other")
        assert (tmp_path / "file").read_bytes() == b"other"
    assert (tmp_path / "file").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_killed_writers_left_goes_with_the_next_write(tmp_path: Path) -> None:
    for name, mtime in ((".[x].0123.partial", 1), (".[x].4567.partial", None), (".x.0123.partial", 1)):
        (tmp_path / name).touch()
        if mtime:
            os.utime(tmp_path / name, (mtime, mtime))
    write_json(tmp_path / "[x]", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".[x].4567.partial", ".x.0123.partial", "[x]"]


def test_a_folder_that_cannot_be_flushed_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def refuse_folders(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112 - a descriptor is no path of ours
            raise OSError(22, os.strerror(22))
        fsync(handle)

    monkeypatch.setattr(atomic.os, "fsync", refuse_folders)
    write_json(tmp_path / "file", {})
    assert json.loads((tmp_path / "file").read_bytes()) == {}


def test_the_first_of_two_that_build_the_same_stays(tmp_path: Path) -> None:
    with temporary_folder_in(tmp_path) as one, temporary_folder_in(tmp_path) as other:
        for place in (one, other):
            (place / "made").mkdir()
            (place / "made" / "by").write_text(place.name)
        for place in (one, other):
            assert move_into_place(place / "made", tmp_path / "entry") == tmp_path / "entry"
        first = one.name
    assert [entry.name for entry in tmp_path.iterdir()] == ["entry"]
    assert (tmp_path / "entry" / "by").read_text() == first


def test_what_killed_processes_left_goes_and_what_is_being_built_stays(tmp_path: Path) -> None:
    for name, mtime in ((".partial-old", 1), (".partial-new", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        if mtime:
            os.utime(tmp_path / name, (mtime, mtime))
    with temporary_folder_in(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == [".partial-new"]
