"""Folders that are written to: on disk, in fake-gcs-server and in MinIO, the stores behind a proxy that spoils."""

import io
import os
import random
import resource
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.faults import Fault, Request
from support.stores import Stored, remove_file

from headstart.components.core.storage import atomic
from headstart.components.core.storage.stores import (
    Conflict,
    NotFound,
    ObjectTree,
    Tree,
    open_tree,
    transfer,
)
from headstart.components.core.storage.stores.s3 import S3Store
from headstart.components.core.util.errors import HeadstartError

MB = 2**20
LARGE = 9 * MB
"""More than goes up in one request."""


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def sends_object(request: Request) -> bool:
    """Whether it brings an object's bytes, or the last word about them."""
    return request.method in ("PUT", "POST") and not request.path.endswith("?uploads")


@pytest.fixture
def tree(folder: str) -> Tree:
    return open_tree(folder)


@pytest.fixture(params=["gcs", "minio"])
def spoilt(request: pytest.FixtureRequest) -> tuple[Tree, Stored]:
    stored: Stored = request.getfixturevalue(request.param)
    return open_tree(stored.uri("tree")), stored


def test_files_are_read_as_they_were_written(tree: Tree, tmp_path: Path) -> None:
    for size in (0, 1, LARGE):
        (tmp_path / "source").write_bytes(noise(size))
        tree.write("a b/Kätzchen#1?.bin", tmp_path / "source")
        tree.write("a b/other", noise(size, 1))
        assert tree.read("a b/Kätzchen#1?.bin")[0] == noise(size)
        assert tree.download("a b/other", tmp_path / "copy").read_bytes() == noise(size, 1)
    assert tree.names() == tree.names("a b") == ["a b/Kätzchen#1?.bin", "a b/other"]
    assert tree.names("a") == []


def test_written_again_a_file_is_another(tree: Tree) -> None:
    tree.write("file", b"1")
    _, before = tree.read("file")
    tree.write("file", b"2")
    content, after = tree.read("file")
    assert content == b"2"
    assert before != after
    remove_file(tree, "file")
    remove_file(tree, "file")
    assert tree.names() == []
    with pytest.raises(NotFound, match="file"):
        tree.read("file")


@pytest.mark.parametrize("size", [1, LARGE])
def test_only_the_version_that_was_read_is_replaced(tree: Tree, size: int, tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        tree.replace("file", b"0", "1" if "gs" in tree.address else '"1"')
    first = tree.replace("file", noise(size, 1), "")
    assert tree.read("file") == (noise(size, 1), first)
    with pytest.raises(Conflict, match="written by somebody else in the meantime"):
        tree.replace("file", noise(size, 2), "")
    (tmp_path / "source").write_bytes(noise(size, 3))
    second = tree.replace("file", tmp_path / "source", first)
    assert tree.read("file") == (noise(size, 3), second)
    with pytest.raises(Conflict):
        tree.replace("file", noise(size, 4), first)
    assert tree.read("file") == (noise(size, 3), second)


@pytest.mark.parametrize("written", [False, True])
def test_of_writers_at_once_one_wins(tree: Tree, folder: str, written: bool) -> None:
    version = tree.replace("file", b"before", "") if written else ""
    barrier = threading.Barrier(4)

    def attempt(number: int) -> str:
        own = open_tree(folder)
        barrier.wait()
        try:
            return own.replace("file", b"%d" % number, version)
        except Conflict:
            return ""

    with ThreadPoolExecutor(4) as pool:
        versions = [*pool.map(attempt, range(4))]
    (winner,) = [number for number, version in enumerate(versions) if version]
    assert tree.read("file") == (b"%d" % winner, versions[winner])


def test_readers_never_see_a_part(tree: Tree, folder: str) -> None:
    contents = [noise(200_000, seed) for seed in range(4)]
    tree.write("file", contents[0])
    done = threading.Event()

    def write() -> None:
        for content in contents * 5:
            tree.write("file", content)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        seen = 0
        while not done.is_set():
            assert open_tree(folder).read("file")[0] in contents
            seen += 1
        writing.result()
    assert seen > 1


def test_names_stay_inside(tree: Tree) -> None:
    for name in ("", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", "./a"):
        with pytest.raises(HeadstartError, match="is not a file name relative to a folder"):
            tree.write(name, b"")


@pytest.mark.parametrize("uri", ["http://example.org/x", "https://example.org/x", "ftp://x/y", "hdfs://x", "gs:///x"])
def test_addresses_of_other_kinds_are_refused(uri: str) -> None:
    with pytest.raises(HeadstartError, match=r"give a folder, a gs:// or an s3:// address|names no bucket"):
        open_tree(uri)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_what_fails_in_passing_is_written_again(spoilt: tuple[Tree, Stored], size: int) -> None:
    tree, stored = spoilt
    for seed, kind in enumerate(("429", "500", "503", "drop", "lose", "garble", "reset", "truncate")):
        before = len(stored.proxy.requests)
        stored.proxy.spoil([Fault(kind), None, Fault(kind)], only=sends_object)
        tree.write("file", noise(size, seed))
        stored.proxy.spoil([])
        assert tree.read("file")[0] == noise(size, seed)
        # The two that spoil an answer's body find none where S3 says all in its headers.
        needed = 1 if kind in ("reset", "truncate") else 2
        assert len([each for each in stored.proxy.requests[before:] if sends_object(each)]) >= needed


@pytest.mark.parametrize("size", [1000, LARGE])
def test_write_whose_answer_was_lost_is_no_conflict(spoilt: tuple[Tree, Stored], size: int) -> None:
    tree, stored = spoilt
    version = ""
    for seed in range(2):
        stored.proxy.spoil([Fault("lose")] * 3, only=sends_object)
        version = tree.replace("file", noise(size, seed), version)
        stored.proxy.spoil([])
        assert tree.read("file") == (noise(size, seed), version)


def test_conflict_behind_a_lost_request_is_one(spoilt: tuple[Tree, Stored]) -> None:
    tree, stored = spoilt
    before = tree.replace("file", b"before", "")

    def overtake(request: Request) -> Fault | None:
        if not overtaken:
            overtaken.append(tree.address)
            stored.upload("tree/file", b"other")
            return Fault("drop")
        return None

    overtaken: list[str] = []
    stored.proxy.spoil(overtake, only=sends_object)
    with pytest.raises(Conflict):
        tree.replace("file", b"after", before)
    assert tree.read("file")[0] == b"other"


def test_store_that_stays_down_is_given_up_in_one_line(
    spoilt: tuple[Tree, Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, stored = spoilt
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.3)
    for kind in ("503", "drop", "lose", "garble"):
        fault = Fault(kind)
        stored.proxy.spoil(lambda request, fault=fault: fault, only=sends_object)
        start = time.monotonic()
        given_up = r"^cannot write .*/tree/file: .*, again and again; check the address"
        with pytest.raises(HeadstartError, match=given_up):
            tree.write("file", b"x")
        assert time.monotonic() - start < 2


def test_refusal_says_what_right_is_missing(spoilt: tuple[Tree, Stored]) -> None:
    tree, stored = spoilt
    stored.proxy.spoil(lambda request: Fault("403"), only=sends_object)
    with pytest.raises(HeadstartError, match=r"^cannot write .*/tree/file: 403"):
        tree.write("file", b"x")


def test_missing_bucket_is_named(spoilt: tuple[Tree, Stored]) -> None:
    tree = open_tree(spoilt[1].uri().partition("://")[0] + "://no-such-bucket-at-all/tree")
    for attempt in (
        lambda: tree.write("file", noise(1000)),
        lambda: tree.write("file", noise(LARGE)),
        lambda: tree.replace("file", noise(1000), ""),
        lambda: tree.names(),
    ):
        with pytest.raises(NotFound, match=r"no-such-bucket-at-all.*: there is no such bucket; check its name"):
            attempt()


def test_large_file_is_not_held_in_memory(spoilt: tuple[Tree, Stored], tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 * MB)
    tracemalloc.start()
    try:
        spoilt[0].write("large", tmp_path / "large")
        assert tracemalloc.get_traced_memory()[1] < 48 * MB
    finally:
        tracemalloc.stop()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow over 1 MB, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_what_was_there(tmp_path: Path, small_disk: None) -> None:
    tree = open_tree(str(tmp_path / "tree"))
    version = tree.replace("file", b"before", "")
    for attempt in (
        lambda: tree.write("file", noise(2 * MB)),
        lambda: tree.replace("file", noise(2 * MB), version),
    ):
        with pytest.raises(HeadstartError, match=r"^cannot write .*/file: .* \(EFBIG\); make room there"):
            attempt()
    assert tree.read("file") == (b"before", version)
    assert {path.name for path in (tmp_path / "tree").iterdir()} == {"file", ".lock"}


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"^cannot write /proc/headstart/file: .*; "):
        open_tree("/proc/headstart").write("file", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HeadstartError, match=r"^cannot write .*/file/name: .*; "):
        open_tree(str(tmp_path / "file")).replace("name", b"", "")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may write to, and that root has written to; the test is another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        open_tree(folder).replace("file", b"before", "")
        os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_users_of_one_folder_write_in_turn(shared: Path) -> None:
    tree = open_tree(str(shared))
    tree.replace("file", b"after", tree.read("file")[1])
    assert tree.read("file")[0] == b"after"


def test_lock_that_cannot_be_had_is_named(shared: Path) -> None:
    tree = open_tree(str(shared))
    os.seteuid(0)
    (shared / ".lock").chmod(0o600)
    os.seteuid(65534)
    with pytest.raises(HeadstartError, match=r"^cannot write .*/\.lock: .* \(EACCES\); get the right to write there"):
        tree.replace("file", b"after", tree.read("file")[1])
    assert tree.read("file")[0] == b"before"


def test_what_killed_writers_left_is_hidden_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".file.0123.partial").write_bytes(b"half")
    tree = open_tree(str(tmp_path))
    tree.write("file", b"whole")
    assert tree.names() == ["file"]
    assert (tmp_path / ".file.0123.partial").exists()
    monkeypatch.setattr(atomic, "_ABANDONED_FILE_SECONDS", -1.0)
    tree.write("other", b"whole")
    assert not [*tmp_path.glob(".*.partial")]


def test_asking_whether_one_can_write_leaves_nothing_behind(tree: Tree) -> None:
    tree.check_writable()
    assert tree.names() == []
    tree.write("file", b"1")
    before = tree.read("file")
    tree.check_writable()
    assert tree.names() == ["file"]
    assert tree.read("file") == before


def test_asking_makes_no_folder(tmp_path: Path) -> None:
    open_tree(str(tmp_path / "a" / "b")).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_who_may_not_write_is_told_so_by_the_address(spoilt: tuple[Tree, Stored]) -> None:
    tree, stored = spoilt
    stored.proxy.spoil(lambda request: Fault("403"), only=sends_object)
    with pytest.raises(HeadstartError, match=rf"^cannot write {stored.uri('tree')}: 403 ") as caught:
        tree.check_writable()
    assert not isinstance(caught.value, Conflict)
    stored.proxy.spoil([])
    assert tree.names() == []


@pytest.mark.parametrize("kind", ["gcs", "minio"])
def test_a_bucket_that_is_not_there_cannot_be_written(kind: str, request: pytest.FixtureRequest) -> None:
    stored: Stored = request.getfixturevalue(kind)
    scheme = stored.uri().partition("://")[0]
    with pytest.raises(HeadstartError, match="there is no such bucket"):
        open_tree(f"{scheme}://no-such-bucket-at-all/tree").check_writable()


def test_what_a_store_without_conditions_has_written_is_removed(minio: Stored) -> None:
    class Heedless(S3Store):
        def put(self, uri: str, file: io.BufferedIOBase, version: str | None) -> str:
            written.append(uri)
            return super().put(uri, file, None)

    written: list[str] = []
    tree = ObjectTree(Heedless(), minio.uri("tree"))
    tree.check_writable()
    assert len(written) == 1
    assert tree.names() == []
