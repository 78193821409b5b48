"""What holds for every store: the web, fake-gcs-server and MinIO, each behind a proxy that spoils answers."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.disks import small_disk
from support.faults import Fault, Request
from support.stores import Stored

from headstart.components.core.storage.stores import NotFound, TooLarge, open_store, transfer
from headstart.components.core.util.errors import HeadstartError

MB = 2**20
ODD_NAMES = ("a b.jpg", "100%.jpg", "%41.jpg", "what?.jpg", "#1.jpg", "a+b&c=d.jpg", "Kätzchen/猫 🐈.jpg", "it's.jpg")


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 3 * MB])
def test_object_is_listed_read_and_downloaded_as_it_was_stored(bucket: Stored, size: int, tmp_path: Path) -> None:
    uri = bucket.upload("folder/cat.jpg", noise(size))
    store = open_store(uri)
    (found,) = store.list(uri)
    assert (found.uri, found.path, found.size) == (uri, "cat.jpg", size)
    assert found.version
    assert store.read(uri) == store.read(uri, found.version, max_bytes=size) == noise(size)
    assert store.download(uri, tmp_path / "cat", found.version) == tmp_path / "cat"
    assert (tmp_path / "cat").read_bytes() == noise(size)
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]


@pytest.mark.parametrize("key", ODD_NAMES)
def test_names_survive(bucket: Stored, key: str) -> None:
    uri = bucket.upload(key, key.encode())
    store = open_store(uri)
    (found,) = store.list(uri)
    assert found.path == key.rpartition("/")[2]
    assert store.read(found.uri, found.version) == key.encode()


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_interrupted_transfer_asks_for_the_rest_only(bucket: Stored, kind: str, tmp_path: Path) -> None:
    uri = bucket.upload("cat.jpg", noise(MB))
    bucket.proxy.spoil([Fault(kind, 300_000), None, Fault(kind, 300_000), Fault(kind, 200_000)])
    assert open_store(uri).read(uri) == noise(MB)
    open_store(uri).download(uri, tmp_path / "cat.jpg")
    assert (tmp_path / "cat.jpg").read_bytes() == noise(MB)
    starts = [int((read.range or "bytes=0-")[6:-1]) for read in bucket.proxy.reads]
    assert len(starts) == 5
    for start, sent in zip((starts[1], starts[3], starts[4] - starts[3]), (3e5, 3e5, 2e5), strict=True):
        assert sent - transfer.CHUNK_BYTES <= start <= sent


def test_patience_is_for_a_standstill_only(bucket: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.0)
    uri = bucket.upload("cat.jpg", noise(MB))
    bucket.proxy.spoil(lambda request: Fault("truncate", 100_000))
    assert open_store(uri).read(uri) == noise(MB)
    assert len(bucket.proxy.reads) == 11


def test_slow_server_is_asked_again(bucket: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "READ_SECONDS", 0.5)
    uri = bucket.upload("cat.jpg", noise(MB))
    bucket.proxy.spoil([Fault("slow", 500_000, seconds=2)])
    assert open_store(uri).read(uri) == noise(MB)


@pytest.mark.parametrize("status", ["429", "500", "503"])
def test_busy_server_is_asked_again(bucket: Stored, status: str) -> None:
    uri = bucket.upload("cat.jpg", noise(1000))
    bucket.proxy.spoil([Fault(status)] * 6, only=lambda request: True)
    store = open_store(uri)
    (found,) = store.list(uri)
    assert store.read(uri, found.version) == noise(1000)


def test_pause_that_the_server_asks_for_is_kept(bucket: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LONGEST_PAUSE_SECONDS", 0.5)
    uri = bucket.upload("cat.jpg", noise(1000))
    bucket.proxy.spoil([Fault("429", headers={"Retry-After": "60"})])
    store, start = open_store(uri), time.monotonic()
    assert store.read(uri) == noise(1000)
    assert 0.5 <= time.monotonic() - start < 1.5


@pytest.mark.parametrize("fault", [Fault("503"), Fault("reset"), Fault("truncate")])
def test_server_that_stays_down_is_given_up_in_one_line(
    bucket: Stored, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.5)
    uri = bucket.upload("cat.jpg", noise(1000))
    bucket.proxy.spoil(lambda request: fault)
    store = open_store(uri)
    start = time.monotonic()
    with pytest.raises(HeadstartError, match=r"^cannot read .*/cat.jpg: .*, again and again; check the address"):
        store.download(uri, tmp_path / "cat.jpg")
    assert 0.2 < time.monotonic() - start < 2
    assert not [*tmp_path.iterdir()]


def test_host_that_is_not_there_is_given_up(bucket: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.5)
    closed = "http://127.0.0.1:9"
    for name, value in bucket.server.environment(closed).items():
        monkeypatch.setenv(name, value)
    uri = bucket.server.uri(closed, bucket.bucket, "cat.jpg")
    for attempt in (lambda: open_store(uri).read(uri), lambda: [*open_store(uri).list(uri)]):
        with pytest.raises(HeadstartError, match="Connection refused, again and again"):
            attempt()


def test_damaged_bytes_are_read_again(bucket: Stored, tmp_path: Path) -> None:
    uri = bucket.upload("cat.jpg", noise(MB))
    bucket.proxy.spoil([Fault("corrupt", 70_000), Fault("corrupt", 70_000)])
    assert open_store(uri).download(uri, tmp_path / "cat.jpg").read_bytes() == noise(MB)
    bucket.proxy.spoil(lambda request: Fault("corrupt"))
    with pytest.raises(HeadstartError, match="its checksum is wrong, 3 times in a row"):
        open_store(uri).read(uri)


def test_damage_before_an_interruption_is_noticed(bucket: Stored) -> None:
    uri = bucket.upload("cat.jpg", noise(MB))

    bucket.proxy.spoil([Fault("corrupt", 10, then=Fault("truncate", 500_000))])
    assert open_store(uri).read(uri) == noise(MB)
    assert [read.range is None for read in bucket.proxy.reads] == [True, False, True]


def test_object_that_changed_since_the_listing_is_refused(bucket: Stored, tmp_path: Path) -> None:
    uri = bucket.upload("cat.jpg", noise(1000, seed=1))
    store = open_store(uri)
    (found,) = store.list(uri)
    bucket.upload("cat.jpg", noise(1000, seed=2))
    for attempt in (
        lambda: store.read(uri, found.version),
        lambda: store.download(uri, tmp_path / "cat", found.version),
    ):
        with pytest.raises(HeadstartError, match=r"cat\.jpg changed while it was read; start again"):
            attempt()
    assert not [*tmp_path.iterdir()]
    assert store.read(uri) == noise(1000, seed=2)


@pytest.mark.parametrize("as_listed", [False, True])
def test_two_versions_are_never_put_together(bucket: Stored, as_listed: bool) -> None:
    uri = bucket.upload("cat.jpg", noise(MB, seed=1))
    store = open_store(uri)
    (found,) = store.list(uri)
    asked: list[Request] = []

    def overwrite(request: Request) -> Fault | None:
        asked.append(request)
        if len(asked) == 1:
            return Fault("reset", 300_000)
        bucket.upload("cat.jpg", noise(MB, seed=2))
        return None

    bucket.proxy.spoil(overwrite)
    if as_listed:
        with pytest.raises(HeadstartError, match="changed while it was read; start again"):
            store.read(uri, found.version)
    else:
        assert store.read(uri) == noise(MB, seed=2)
    assert bucket.proxy.reads[1].range


def test_what_is_not_there_is_said_in_one_line(bucket: Stored, tmp_path: Path) -> None:
    uri = bucket.uri("none.jpg")
    store = open_store(uri)
    assert [*store.list(uri)] == []
    for attempt in (lambda: store.read(uri), lambda: store.download(uri, tmp_path / "none.jpg")):
        with pytest.raises(NotFound, match=r"^cannot read .*none\.jpg: .*; check"):
            attempt()
    assert not [*tmp_path.iterdir()]


def test_object_over_the_limit_is_not_transferred(bucket: Stored) -> None:
    uri = bucket.upload("cat.jpg", noise(20 * MB))
    with pytest.raises(TooLarge, match=r"cat\.jpg has 20971520 bytes or more, over the limit of 1000"):
        open_store(uri).read(uri, max_bytes=1000)
    (read,) = bucket.proxy.reads
    assert read.sent < 10 * MB


def test_threads_share_a_store(bucket: Stored) -> None:
    contents = {bucket.upload(f"{number}.jpg", data): data for number in range(64) if (data := noise(50_000, number))}
    store = open_store(bucket.uri())
    rng = random.Random(0)
    damaged: set[str] = set()

    def fault(request: Request) -> Fault | None:
        if request.path not in damaged and rng.random() < 0.2:
            damaged.add(request.path)
            return Fault("corrupt")
        return rng.choice([None, None, Fault("reset", 20_000), Fault("503")])

    bucket.proxy.spoil(fault)
    with ThreadPoolExecutor(32) as pool:
        assert [*pool.map(store.read, contents)] == [*contents.values()]


def test_full_disk_names_the_target(bucket: Stored, tmp_path: Path) -> None:
    uri = bucket.upload("cat.jpg", noise(MB))
    with small_disk(tmp_path / "small", "100k") as folder:
        with pytest.raises(HeadstartError, match=r"^cannot write .*/cat\.jpg: No space left on device \(ENOSPC\)"):
            open_store(uri).download(uri, folder / "cat.jpg")
        assert not [*folder.iterdir()]


def test_listing_has_every_object_below_and_no_other(listed: Stored) -> None:
    below = {f"cats/{number:04}.jpg": b"%d" % number for number in range(1100)}
    keys = [*below, "cats/deep/er/cat.jpg", "cat", "cats.zip", "cats/"]
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(listed.upload, keys, [below.get(key, b"") for key in keys])]
    store = open_store(listed.uri())
    for uri in (listed.uri("cats"), listed.uri("cats/")):
        found = [*store.list(uri)]
        assert {file.path: file.size for file in found} == {
            key.removeprefix("cats/"): len(data) for key, data in below.items()
        } | {"deep/er/cat.jpg": 0}
        assert len({file.path for file in found}) == len(found) == 1101
    assert store.read(found[7].uri, found[7].version) == below[f"cats/{found[7].path}"]
    assert [file.path for file in store.list(listed.uri("cat"))] == ["cat"]
    assert {file.path for file in store.list(listed.uri())} == set(keys) - {"cats/"}
    assert sum(not request.reads_object and request.method == "GET" for request in listed.proxy.requests) >= 6


def test_listing_goes_on_after_a_failure(listed: Stored) -> None:
    for number in range(3):
        listed.upload(f"cats/{number}.jpg", b"")
    listed.proxy.spoil([Fault("503"), Fault("reset", 20), Fault("truncate", 50)] * 2, only=lambda request: True)
    assert [file.path for file in open_store(listed.uri()).list(listed.uri("cats"))] == ["0.jpg", "1.jpg", "2.jpg"]


def test_missing_bucket_is_named(listed: Stored) -> None:
    scheme = listed.uri().partition(":")[0]
    store = open_store(listed.uri())
    for uri in (f"{scheme}://no-such-bucket-at-all", f"{scheme}://no-such-bucket-at-all/cats"):
        with pytest.raises(NotFound, match=r"no-such-bucket-at-all.*: there is no such bucket; check its name"):
            [*store.list(uri)]
    with pytest.raises(NotFound, match="no-such-bucket-at-all"):
        store.read(f"{scheme}://no-such-bucket-at-all/cat.jpg")


def test_whole_bucket_and_no_bucket_are_no_objects(listed: Stored) -> None:
    scheme = listed.uri().partition(":")[0]
    store = open_store(listed.uri())
    with pytest.raises(HeadstartError, match=r"is a bucket; write .*://BUCKET/NAME"):
        store.read(f"{scheme}://bucket")
    with pytest.raises(HeadstartError, match=r"names no bucket; write .*://BUCKET/NAME"):
        [*store.list(f"{scheme}://")]


def test_each_retry_is_logged(bucket: Stored, logged: pytest.LogCaptureFixture) -> None:
    uri = bucket.upload("cat.jpg", noise(MB))
    bucket.proxy.spoil([Fault("503"), Fault("truncate", 500_000)])
    open_store(uri).read(uri)
    assert "event=retry" in logged.text
    assert "503" in logged.text
    assert "event=interrupted" in logged.text
