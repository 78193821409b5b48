"""What the web has beside what every store has: servers that know less, addresses with secrets, certificates."""

import datetime
import http.server
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.faults import Fault, Proxy, start_proxy
from support.servers import serve_folder
from support.stores import Stored

from headstart.components.core.storage.stores import NotFound, StoredObject, TooLarge, open_store, transfer
from headstart.components.core.util.errors import HeadstartError

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cat.jpg").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def proxy(folder: Path, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A server that knows what the test says, behind a proxy."""
    with serve_folder(folder, says=request.param) as address, start_proxy(address) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("proxy", "asks_for_rest"),
    [
        ("etag modified ranges", True),
        ("modified ranges", True),
        ("weak modified ranges", True),
        ("etag modified digest", True),
        ("weak ranges", False),
        ("ranges digest", False),
    ],
    indirect=["proxy"],
)
def test_transfer_is_whole_whatever_the_server_knows(proxy: Proxy, asks_for_rest: bool) -> None:
    uri = f"{proxy.address}/cat.jpg"
    (found,) = open_store(uri).list(uri)
    proxy.spoil([Fault("truncate", 200_000), Fault("reset", 300_000)])
    assert open_store(uri).read(uri, found.version) == CONTENT
    assert [read.range is not None for read in proxy.reads] == [False, asks_for_rest, asks_for_rest]


@pytest.mark.parametrize("proxy", ["digest", "instance", "md5"], indirect=True)
def test_damage_is_noticed_by_any_checksum(proxy: Proxy) -> None:
    proxy.spoil([Fault("corrupt", 9)])
    assert open_store(proxy.address).read(f"{proxy.address}/cat.jpg") == CONTENT
    assert len(proxy.reads) == 2


@pytest.mark.parametrize("proxy", ["hex"], indirect=True)
def test_what_is_no_checksum_is_passed_over(proxy: Proxy) -> None:
    assert open_store(proxy.address).read(f"{proxy.address}/cat.jpg") == CONTENT


@pytest.mark.parametrize("proxy", ["etag modified"], indirect=True)
def test_server_that_cannot_resume_and_always_breaks_off_is_given_up(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.5)
    proxy.spoil(lambda request: Fault("truncate", 200_000))
    with pytest.raises(HeadstartError, match="again and again"):
        open_store(proxy.address).read(f"{proxy.address}/cat.jpg")


@pytest.mark.parametrize("proxy", ["unsized etag"], indirect=True)
def test_object_of_unknown_size_is_read_up_to_the_limit(proxy: Proxy) -> None:
    uri = f"{proxy.address}/cat.jpg"
    store = open_store(uri)
    (found,) = store.list(uri)
    assert found.size == -1
    assert store.read(uri, found.version, max_bytes=len(CONTENT)) == CONTENT
    with pytest.raises(TooLarge):
        store.read(uri, max_bytes=len(CONTENT) - 1)


@pytest.mark.parametrize("proxy", ["gets etag"], indirect=True)
def test_object_is_listed_where_the_server_does_not_answer_to_head(proxy: Proxy) -> None:
    uri = f"{proxy.address}/cat.jpg?size=big"
    store = open_store(uri)
    assert [*store.list(uri)] == [StoredObject(uri, "cat.jpg", -1, "")]
    assert store.read(uri) == CONTENT


def test_redirection_is_followed(web: Stored) -> None:
    there = web.upload("there.jpg", CONTENT)
    here = web.uri("here.jpg")
    web.proxy.spoil([Fault("302", headers={"Location": there})])
    assert open_store(here).read(here) == CONTENT


@pytest.mark.parametrize("status", ["401", "403"])
def test_refusal_says_how_to_name_oneself(web: Stored, status: str) -> None:
    uri = web.upload("cat.jpg", CONTENT)
    web.proxy.spoil(lambda request: Fault(status), only=lambda request: True)
    assert [(found.path, found.size) for found in open_store(uri).list(uri)] == [("cat.jpg", -1)]
    with pytest.raises(HeadstartError, match=rf"^cannot read .*: {status} .*; if it is not public, give"):
        open_store(uri).read(uri)


@pytest.mark.parametrize("fault", ["403", "404", "503", "truncate", "corrupt"])
def test_secrets_of_an_address_are_shown_nowhere(
    web: Stored, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(logging.getLogger("headstart"), "propagate", True)
    web.upload("cat.jpg", CONTENT)
    uri = web.uri("cat.jpg").replace("http://", "http://me:secret@") + "?signature=secret#secret"
    web.proxy.spoil(lambda request: Fault(fault), only=lambda request: True)
    with caplog.at_level(logging.INFO), pytest.raises(HeadstartError) as caught:
        open_store(uri).read(uri)
    assert "cat.jpg" in str(caught.value)
    assert "secret" not in str(caught.value) + caplog.text
    assert web.proxy.reads[0].headers["Authorization"].startswith("Basic ")
    assert web.proxy.reads[0].path.endswith("?signature=secret")


def test_gone_is_not_there(web: Stored) -> None:
    uri = web.upload("cat.jpg", CONTENT)
    web.proxy.spoil(lambda request: Fault("410"), only=lambda request: True)
    assert [*open_store(uri).list(uri)] == []
    with pytest.raises(NotFound, match="410 Gone; check the address"):
        open_store(uri).read(uri)


@pytest.mark.parametrize("uri", ["http://", "http://[", "https://host:port/cat.jpg"])
def test_what_is_no_address_is_refused_at_once(uri: str) -> None:
    with pytest.raises(HeadstartError, match=r"^cannot read .*; check the address"):
        open_store(uri).read(uri)


def test_certificate_that_nobody_vouches_for_is_refused_at_once(folder: Path) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(folder / "server.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri, start = f"https://127.0.0.1:{server.server_port}/cat.jpg", time.monotonic()
    with pytest.raises(HeadstartError, match=r"self.signed certificate; set REQUESTS_CA_BUNDLE"):
        open_store(uri).read(uri)
    assert time.monotonic() - start < 1
    server.shutdown()
    server.server_close()


def _own_certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def nobody(host: str, *more: object, **others: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "https://u:s3cret@pictures.invalid/a.zip",
            "the name 'pictures.invalid' does not resolve; check the address",
        ),
        (
            "s3://bucket/a.zip",
            "the name 'store.invalid' does not resolve; check AWS_ENDPOINT_URL_S3, which is http://store.invalid:9000",
        ),
    ],
)
def test_a_name_that_does_not_resolve_is_named_at_once(
    uri: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://store.invalid:9000")
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    start = time.monotonic()
    with pytest.raises(HeadstartError, match=re.escape(expected)) as raised:
        open_store(uri).download(uri, tmp_path / "file")
    assert "s3cret" not in str(raised.value)
    assert time.monotonic() - start < 10
