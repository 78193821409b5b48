"""Fixtures: a bucket of one's own on each kind of store, behind a proxy that can spoil what passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stores import (
    GcsServer,
    MinioServer,
    Stored,
    WebServer,
    make_bucket,
    start_gcs,
    start_minio,
    start_web,
)

from headstart.components.core.storage.stores import transfer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, short pauses."""
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE_SECONDS", 0.1)


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with start_web(tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    with start_gcs() as server:
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with start_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture
def web(web_server: WebServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    with make_bucket(web_server, monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def gcs(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    with make_bucket(gcs_server, monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def minio(minio_server: MinioServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    with make_bucket(minio_server, monkeypatch) as bucket:
        yield bucket


@pytest.fixture(params=["web", "gcs", "minio"])
def bucket(request: pytest.FixtureRequest) -> Stored:
    """Each kind of store in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["gcs", "minio"])
def listed(request: pytest.FixtureRequest) -> Stored:
    """Each kind of store that has listings."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["disk", "gcs", "minio"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a folder on each kind of store that can be written, and on disk."""
    if request.param == "disk":
        return str(tmp_path / "tree")
    stored: Stored = request.getfixturevalue(request.param)
    return stored.uri("some/tree")
