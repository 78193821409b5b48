"""Stores for tests: a web server, fake-gcs-server and MinIO on loopback, each behind a proxy that injects faults."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from headstart.components.core.storage.stores import Tree, is_local, open_store
from headstart.components.core.storage.stores.objects import WritableStore
from support.faults import Proxy, start_proxy
from support.servers import serve_folder

USER, PASSWORD = "headstart", "headstart-secret"


class Server(Protocol):
    """A server of objects.

    Attributes:
        address: Address of the server.
        settings: Prefixes of the environment variables that its client reads.
    """

    address: str
    settings: tuple[str, ...]

    def make_bucket(self, bucket: str) -> None: ...
    def upload(self, bucket: str, key: str, data: bytes) -> None: ...
    def environment(self, address: str) -> dict[str, str]:
        """Environment variables by which clients find the server at an address."""
        ...

    def uri(self, address: str, bucket: str, key: str) -> str: ...


class Stored:
    """A bucket for one test, on a server behind a proxy.

    Attributes:
        server: Server of the bucket.
        bucket: Name of the bucket, which no other test uses.
        proxy: Proxy through which the code under test reaches the server.
    """

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.server = server
        self.proxy = proxy
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        server.make_bucket(self.bucket)

    def uri(self, key: str = "") -> str:
        """Address of an object, through the proxy."""
        return self.server.uri(self.proxy.address, self.bucket, key)

    def upload(self, key: str, data: bytes) -> str:
        """Uploads an object, without the proxy, and returns its address."""
        self.server.upload(self.bucket, key, data)
        return self.uri(key)


@contextlib.contextmanager
def make_bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """Makes a bucket, starts a proxy, and sets the environment so that clients find only the proxy."""
    for name in [*os.environ]:
        if name.startswith(server.settings):
            monkeypatch.delenv(name)
    with start_proxy(server.address) as proxy:
        for name, value in server.environment(proxy.address).items():
            monkeypatch.setenv(name, value)
        yield Stored(server, proxy)


def remove_file(tree: Tree, name: str) -> None:
    """Deletes a file of a folder, on disk or in a store, if there is one."""
    address = f"{tree.address}/{name}"
    if is_local(address):
        Path(address).unlink(missing_ok=True)
    else:
        store = open_store(address)
        assert isinstance(store, WritableStore)
        store.delete(address)


class WebServer:
    """A folder on the web; its buckets are folders."""

    settings = ()

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self._folder = folder

    def make_bucket(self, bucket: str) -> None:
        (self._folder / bucket).mkdir()

    def upload(self, bucket: str, key: str, data: bytes) -> None:
        path = self._folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def environment(self, address: str) -> dict[str, str]:
        return {}

    def uri(self, address: str, bucket: str, key: str) -> str:
        return f"{address}/{bucket}/{quote(key)}"


class GcsServer:
    """fake-gcs-server."""

    settings = ("GOOGLE_", "STORAGE_EMULATOR_")

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = storage.Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": address}
        )

    def make_bucket(self, bucket: str) -> None:
        self.client.create_bucket(bucket)

    def upload(self, bucket: str, key: str, data: bytes) -> None:
        self.client.bucket(bucket).blob(key).upload_from_string(data)

    def environment(self, address: str) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": address}

    def uri(self, address: str, bucket: str, key: str) -> str:
        return f"gs://{bucket}/{key}"


class MinioServer:
    """MinIO."""

    settings = ("AWS_",)

    def __init__(self, address: str) -> None:
        import boto3

        self.address = address
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id=USER,
            aws_secret_access_key=PASSWORD,
            region_name="us-east-1",
        )

    def make_bucket(self, bucket: str) -> None:
        self.client.create_bucket(Bucket=bucket)

    def upload(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def environment(self, address: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": address,
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def uri(self, address: str, bucket: str, key: str) -> str:
        return f"s3://{bucket}/{key}"


@contextlib.contextmanager
def start_web(folder: Path) -> Iterator[WebServer]:
    """Starts a web server."""
    with serve_folder(folder) as address:
        yield WebServer(address, folder)


@contextlib.contextmanager
def start_gcs() -> Iterator[GcsServer]:
    """Starts fake-gcs-server, or skips the test where it is not installed."""
    host, port = "127.0.0.1", _free_port()
    command = [_installed("fake-gcs-server"), "-scheme", "http", "-host", host, "-port", str(port)]
    command += ["-public-host", f"{host}:{port}", "-backend", "memory", "-log-level", "error"]
    with _running(command, {}, f"http://{host}:{port}", "/_internal/healthcheck") as address:
        yield GcsServer(address)


@contextlib.contextmanager
def start_minio(folder: Path) -> Iterator[MinioServer]:
    """Starts MinIO, or skips the test where it is not installed."""
    host = f"127.0.0.1:{_free_port()}"
    command = [_installed("minio"), "server", str(folder), "--address", host, "--quiet"]
    settings = {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_BROWSER": "off"}
    with _running(command, settings, f"http://{host}", "/minio/health/ready") as address:
        yield MinioServer(address)


@contextlib.contextmanager
def _running(command: list[str], settings: dict[str, str], address: str, ready: str) -> Iterator[str]:
    process = subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 30
        while not answers(address + ready):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < end, f"{command[0]} does not answer at {address}"
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Whether a server answers at an address, and says that all is well."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def _installed(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / "go" / "bin"))
    if not found:
        pytest.skip(f"{name} is not installed; .ci/run says how")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
