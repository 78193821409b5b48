"""What Google Cloud Storage has beside what every store has: its credentials, and objects that it compresses."""

import contextlib
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from support.faults import Fault
from support.stores import Stored

from headstart.components.core.storage.stores import open_store, transfer
from headstart.components.core.util.errors import HeadstartError


@contextlib.contextmanager
def issuing_tokens(status: int, answer: dict[str, object]) -> Iterator[str]:
    """Starts a server that answers every request for a token alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def real(gcs: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stored:
    """The server as if it were Google's own, on a machine without credentials."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", gcs.proxy.address)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return gcs


def credentials_file(folder: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    values = {
        "type": "service_account",
        "project_id": "test",
        "client_email": "me@example.org",
        "private_key": key.private_bytes(serialization.Encoding.PEM, *plain).decode(),
        "token_uri": token_uri,
    }
    path = folder / "credentials.json"
    path.write_text(json.dumps(values))
    return path


def test_without_credentials_access_is_anonymous(real: Stored) -> None:
    uri = real.upload("cat.jpg", b"cat")
    store = open_store(uri)
    assert store.read(next(store.list(uri)).uri) == b"cat"
    assert not [request for request in real.proxy.requests if request.headers["Authorization"]]


@pytest.mark.parametrize("status", ["401", "403"])
def test_refusal_of_anonymous_access_says_how_to_get_credentials(real: Stored, status: str) -> None:
    uri = real.upload("cat.jpg", b"cat")
    real.proxy.spoil(lambda request: Fault(status), only=lambda request: True)
    store = open_store(uri)
    for attempt in (lambda: store.read(uri), lambda: [*store.list(uri)], lambda: [*store.list(real.uri())]):
        with pytest.raises(HeadstartError, match=f"{status} for anonymous access, .* set GOOGLE_APPLICATION_CRED"):
            attempt()


def test_credentials_of_the_environment_are_used(
    real: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = real.upload("cat.jpg", b"cat")
    with issuing_tokens(200, {"access_token": "secret", "expires_in": 3600}) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials_file(tmp_path, address)))
        store = open_store(uri)
        assert store.read(next(store.list(uri)).uri) == b"cat"
        assert {request.headers["Authorization"] for request in real.proxy.requests} == {"Bearer secret"}
        real.proxy.spoil(lambda request: Fault("403"), only=lambda request: True)
        for attempt in (lambda: store.read(uri), lambda: [*store.list(uri)]):
            with pytest.raises(HeadstartError, match="403 for the environment's Google credentials; grant") as caught:
                attempt()
            assert "secret" not in str(caught.value)


def test_credentials_that_were_withdrawn_are_told(
    real: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = real.upload("cat.jpg", b"cat")
    with issuing_tokens(400, {"error": "invalid_grant"}) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials_file(tmp_path, address)))
        store = open_store(uri)
        for attempt in (lambda: store.read(uri), lambda: [*store.list(uri)]):
            with pytest.raises(HeadstartError, match=r"cannot be renewed \(RefreshError\); run gcloud auth"):
                attempt()


def test_credentials_that_are_named_and_missing_are_told(real: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/none.json")
    with pytest.raises(HeadstartError, match=r"GOOGLE_APPLICATION_CREDENTIALS='/none\.json' cannot be used"):
        open_store("gs://bucket")


def test_compressed_object_is_read_as_it_is_stored(gcs: Stored) -> None:
    stored = gzip.compress(bytes(range(256)) * 2000, compresslevel=0)
    blob = gcs.server.client.bucket(gcs.bucket).blob("cat.jpg")
    blob.content_encoding = "gzip"
    blob.upload_from_string(stored)
    gcs.proxy.spoil([Fault("truncate", 200_000)])
    assert open_store(gcs.uri()).read(gcs.uri("cat.jpg")) == stored


def test_generation_is_named_in_each_request_after_the_first(gcs: Stored) -> None:
    uri = gcs.upload("cat.jpg", bytes(500_000))
    gcs.proxy.spoil([Fault("truncate", 200_000)])
    store = open_store(uri)
    (found,) = store.list(uri)
    store.read(uri)
    store.read(uri, found.version)
    named = [f"ifGenerationMatch={found.version}" in read.path for read in gcs.proxy.reads]
    assert named == [False, True, True]


def test_precondition_that_fails_is_a_change(gcs: Stored) -> None:
    uri = gcs.upload("cat.jpg", b"cat")
    gcs.proxy.spoil([Fault("412")])
    with pytest.raises(HeadstartError, match="changed while it was read; start again"):
        open_store(uri).read(uri, "1")


def test_emulator_without_scheme_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:4443")
    for attempt in (lambda: open_store("gs://b").read("gs://b/cat"), lambda: [*open_store("gs://b").list("gs://b")]):
        with pytest.raises(HeadstartError, match=r"^cannot read .*; check the address"):
            attempt()


def test_without_emulator_and_credentials_the_real_service_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(HeadstartError, match="headstart-tests-no-such-bucket"):
        list(open_store("gs://").list("gs://headstart-tests-no-such-bucket/pets"))
