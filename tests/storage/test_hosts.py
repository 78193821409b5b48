"""Manifests of addresses, some of which are dead, refused, slow or none; real servers on loopback."""

import csv
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.hostile import encode_image, make_image
from support.servers import serve_folder

from headstart.components.core.storage.stores import hosts, open_store, transfer
from headstart.components.core.storage.stores.hosts import HostPatience
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.components.list_data.step import list_data


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does with each connection, once a request has come, what a test wants.

    Yields:
        Its address.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def one(connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                with suppress(OSError):
                    answer(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        # Closing alone does not wake the thread that waits.
        server.shutdown(socket.SHUT_RDWR)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "ADDRESS_SECONDS", 0.5)
    monkeypatch.setattr(hosts, "HOST_SECONDS", 1.0)
    monkeypatch.setattr(hosts, "GIVEN_UP_SECONDS", 2.0)
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.05)


def write_manifest(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *rows])
    return path


def test_addresses_that_fail_cost_their_own_rows_and_little_time(tmp_path: Path, short: None) -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    (tmp_path / "web").mkdir()
    rows = []
    for seed in range(20):
        (tmp_path / "web" / f"{seed}.jpg").write_bytes(encode_image(make_image(seed)))
    with (
        serve_folder(tmp_path / "web") as good,
        answering(lambda to: to.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as refusing,
        answering(lambda to: to.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")) as broken,
        answering(lambda to: to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: few\r\n\r\n")) as odd,
    ):
        rows = [(f"{good}/{seed}.jpg", ("cat", "dog")[seed % 2]) for seed in range(20)]
        bad = [f"{dead}/{number}.jpg" for number in range(200)]
        bad += [f"{refusing}/x.jpg", f"{broken}/x.jpg", f"{odd}/x.jpg", "http://[::1/x.jpg", "http:///x.jpg"]
        manifest = write_manifest(tmp_path / "pets.csv", [*rows, *((each, "cat") for each in bad)])
        started = time.monotonic()
        list_data([str(manifest)])
        info = download_dataset(
            [str(manifest)], tmp_path / "out", tmp_path / "page.html", DownloadSettings(max_bad_fraction=0.95)
        )
        assert time.monotonic() - started < 30, "200 dead addresses of half a second each would take longer in turn"
    assert info.counts == [10, 10]
    with (tmp_path / "out" / "quarantine.csv").open(newline="") as file:
        found = {row["file"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}
    # What cannot be taken apart is not shown: there may be a password in it.
    assert set(found) == set(bad) - {"http://[::1/x.jpg"} | {"http://…"}
    assert {reason for reason, _ in found.values()} == {"unreadable"}
    assert "403 Forbidden" in found[f"{refusing}/x.jpg"][1]
    assert "500 Broken" in found[f"{broken}/x.jpg"][1]
    assert "states the Content-Length 'few'" in found[f"{odd}/x.jpg"][1]
    assert sum("was not asked again" in detail for _, detail in found.values()) > 50


def test_too_many_of_them_end_the_run_with_a_reason(tmp_path: Path, short: None) -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    manifest = write_manifest(tmp_path / "pets.csv", [(f"{dead}/{n}.jpg", ("cat", "dog")[n % 2]) for n in range(9)])
    with pytest.raises(HeadstartError, match=r"more than 10% of 9 files cannot be used: .*Connection refused"):
        download_dataset([str(manifest)], tmp_path / "out", tmp_path / "page.html")


def test_a_listing_with_an_address_that_cannot_be_asked_is_never_the_same(tmp_path: Path, short: None) -> None:
    address = f"http://127.0.0.1:{closed_port()}/x.jpg"
    manifest = str(write_manifest(tmp_path / "pets.csv", [(address, "cat")]))
    assert list_data([manifest]) != list_data([manifest])


def test_a_host_that_recovers_is_asked_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)
    (tmp_path / "x.jpg").write_bytes(b"a cat")
    patience = HostPatience()
    with serve_folder(tmp_path, failures=["503", "503", "500"]) as address, patience.bounded(address):
        assert open_store(address).read(f"{address}/x.jpg") == b"a cat"


def test_time_in_which_several_addresses_fail_counts_once(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "HOST_SECONDS", 0.8)
    patience = HostPatience()
    barrier = threading.Barrier(8)
    told: list[str] = []

    def fail() -> None:
        barrier.wait()
        try:
            with patience.bounded("http://host/x.jpg"):
                time.sleep(0.2)
                raise HeadstartError("down")
        except HeadstartError as error:
            told.append(str(error))

    for _ in range(3):
        threads = [threading.Thread(target=fail) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert told == ["down"] * 24, "three times 0.2 s have gone by, not 24 times"


def drip(to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        to.sendall(b"x")
        time.sleep(0.05)


def drip_in_chunks(to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")
    while True:
        to.sendall(b"x")
        time.sleep(0.05)


def drip_headers(to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        to.sendall(f"X-{number}: x\r\n".encode())
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [drip, drip_in_chunks, drip_headers])
def test_a_server_that_sends_a_byte_now_and_then_has_a_deadline(
    answer: Callable[[socket.socket], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SLOW_START_SECONDS", 1.0)
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 2.0)
    started = time.monotonic()
    with answering(answer) as address, pytest.raises(HeadstartError, match=r"cannot read http://127\.0\.0\.1"):
        open_store(address).read(f"{address}/x.jpg")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("length", ["-5", "abc", "1e9", "9" * 30])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nxxx".encode()
    with answering(lambda to: to.sendall(answer)) as address:
        uri = f"{address}/x.jpg"
        for read in (lambda: open_store(uri).read(uri), lambda: list(open_store(uri).list(uri))):
            with pytest.raises(HeadstartError, match="which is not a size"):
                read()
