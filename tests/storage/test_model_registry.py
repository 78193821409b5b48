"""Registration in Kubeflow's Model Registry: on the server that HEADSTART_TEST_MODEL_REGISTRY names."""

import http.server
import os
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.published import version_folder
from typer.testing import CliRunner

from headstart.components.core.registry import registry
from headstart.components.core.registry.model_registry import (
    TOKEN_VARIABLE,
    check_registry_url,
    register,
)
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.main import app
from headstart.pipelines.definitions.parameters import Parameters

SERVER = os.environ.get("HEADSTART_TEST_MODEL_REGISTRY", "")
TOKEN = "hunter4hunter5"
needs_server = pytest.mark.skipif(
    not SERVER, reason="HEADSTART_TEST_MODEL_REGISTRY names no server, such as http://127.0.0.1:8080"
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A place that no other test publishes at."""
    return str(tmp_path / f"pets-{uuid.uuid4().hex[:8]}")


def publish(uri: str, seed: int, run: str = "") -> registry.Outcome:
    return registry.publish_folder(version_folder(Path(uri).with_name(f"version{seed}"), seed), uri, run)


def get(path: str, **query: object) -> Any:
    answer = requests.get(f"{SERVER}/api/model_registry/v1alpha3/{path}", params=query, timeout=20)
    answer.raise_for_status()
    return answer.json()


def versions(uri: str) -> dict[str, dict[str, Any]]:
    """Registered versions of a place by name, each with the values of its properties and its artifacts."""
    model = get("registered_model", externalId=uri)
    found = {}
    for each in get(f"registered_models/{model['id']}/versions")["items"]:
        properties = {
            name: next(part for key, part in value.items() if key != "metadataType")
            for name, value in each["customProperties"].items()
        }
        artifacts = get(f"model_versions/{each['id']}/artifacts")["items"]
        found[each["name"]] = {**each, "properties": properties, "artifacts": artifacts, "model": model["name"]}
    return found


@needs_server
def test_a_version_is_registered_with_its_figures_data_run_and_lineage(uri: str) -> None:
    run = str(uuid.uuid4())
    first, second = publish(uri, 0, "headstart run"), publish(uri, 1, run)
    assert register(SERVER, uri) == Path(uri).name
    registered = versions(uri)[second.version]
    properties = registered["properties"]
    assert properties["champion"] is True and properties["replaced"] == first.version
    assert (properties["accuracy"], properties["accuracy_low"], properties["accuracy_high"]) == (0.9, 0.85, 0.94)
    assert (properties["data_train"], properties["data_test"]) == ("train1", "test")
    assert (properties["run"], properties["backbone"], properties["test_images"]) == (run, "sketchnet", "200")
    assert registered["description"].startswith("accuracy 0.900 (0.850 to 0.940, 95 % interval)")
    (artifact,) = registered["artifacts"]
    assert artifact["uri"] == f"file://{second.address}/saved_model"
    assert (artifact["modelFormatName"], artifact["modelSourceId"]) == ("tensorflow", run)


@needs_server
def test_registering_again_changes_nothing_but_what_is_new(uri: str) -> None:
    published = publish(uri, 0)
    register(SERVER, uri)
    before = versions(uri)[published.version]
    own = {
        **before["customProperties"],
        "reviewed": {"string_value": "by ann", "metadataType": "MetadataStringValue"},
    }
    address = f"{SERVER}/api/model_registry/v1alpha3/model_versions/{before['id']}"
    requests.patch(address, json={"customProperties": own}, timeout=20).raise_for_status()
    register(SERVER, uri)
    (after,) = versions(uri).values()
    assert after["id"] == before["id"] and after["properties"] == {**before["properties"], "reviewed": "by ann"}
    assert [each["id"] for each in after["artifacts"]] == [each["id"] for each in before["artifacts"]]


@needs_server
def test_one_version_is_the_champion_through_publication_and_rollback(uri: str) -> None:
    first = publish(uri, 0)
    register(SERVER, uri, first.version)
    second = publish(uri, 1)
    register(SERVER, uri, second.version)

    def champions() -> list[str]:
        return [name for name, each in versions(uri).items() if each["properties"]["champion"]]

    assert champions() == [second.version]
    done = CliRunner().invoke(app, ["models", "rollback", uri, "--registry-url", SERVER])
    assert done.exit_code == 0 and champions() == [first.version]
    assert f"registered as {Path(uri).name} at {SERVER}" in done.stdout
    register(SERVER, uri, second.version)
    assert champions() == [first.version]


@needs_server
def test_places_of_one_name_are_two_models(uri: str, tmp_path: Path) -> None:
    other = str(tmp_path / "elsewhere" / Path(uri).name)
    Path(other).parent.mkdir()
    publish(uri, 0)
    publish(other, 1)
    names = register(SERVER, uri), register(SERVER, other)
    assert names[0] == Path(uri).name and names[1].startswith(f"{names[0]}-")
    assert register(SERVER, other) == names[1]
    assert len(versions(uri)) == len(versions(other)) == 1


@pytest.fixture
def renamed() -> Iterator[str]:
    """The server with its API at `v1`, as newer ones have it, and nothing at `v1alpha3`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            status, answer = 404, b"{}"
            if "/model_registry/v1/" in self.path:
                request = urllib.request.Request(
                    f"{SERVER}{self.path.replace('/v1/', '/v1alpha3/')}", body, method=self.command
                )
                request.add_header("Content-Type", "application/json")
                try:
                    with urllib.request.urlopen(request) as got:
                        status, answer = got.status, got.read()
                except urllib.error.HTTPError as error:
                    status, answer = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@needs_server
def test_an_api_without_alpha_in_its_name_is_used(uri: str, renamed: str) -> None:
    published = publish(uri, 0)
    register(renamed, uri)
    register(renamed, uri)
    assert list(versions(uri)) == [published.version]


def test_a_registry_that_cannot_be_reached_says_what_to_do_later(uri: str) -> None:
    published = publish(uri, 0)
    with pytest.raises(HeadstartError) as raised:
        register("http://127.0.0.1:9", uri)
    assert str(raised.value) == (
        f"{published.version} at {uri} was not registered at http://127.0.0.1:9: it cannot be reached; it is "
        f"published all the same; headstart models register {uri} http://127.0.0.1:9 registers it later"
    )
    done = CliRunner().invoke(app, ["models", "register", uri, "http://127.0.0.1:9"])
    assert done.exit_code == 1
    publish(uri, 1)
    done = CliRunner().invoke(app, ["models", "rollback", uri, "--registry-url", "http://127.0.0.1:9"])
    assert done.exit_code == 0 and f"warning: {published.version} at {uri} was not registered" in done.stdout


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, f"it answered 401; set {TOKEN_VARIABLE};"),
        (404, "it has no API of a Model Registry, and answered 404;"),
        (500, "it answered 500;"),
        (200, "its answer is not that of a Model Registry;"),
    ],
)
def test_a_refusal_is_told_and_the_token_goes_into_the_header_alone(
    uri: str, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    publish(uri, 0)
    seen: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(HeadstartError) as raised:
            register(f"http://127.0.0.1:{server.server_port}", uri)
        server.shutdown()
    assert words in str(raised.value) and TOKEN not in str(raised.value)
    assert {token for _, token in seen} == {f"Bearer {TOKEN}"} and all(TOKEN not in path for path, _ in seen)


@pytest.mark.parametrize("url", ["registry:8080", "gs://bucket/registry", "file:///registry"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(HeadstartError, match=r"is not the address of a Model Registry; give one such as http://"):
        check_registry_url(url)


def test_a_token_in_the_address_is_refused_and_not_shown() -> None:
    for url in (f"https://ann:{TOKEN}@registry", f"https://registry?token={TOKEN}"):
        with pytest.raises(HeadstartError, match=rf"leave it out, and set {TOKEN_VARIABLE}$") as raised:
            Parameters(publish_uri="models", registry_url=url).check()
        assert TOKEN not in str(raised.value)


def test_a_registry_without_a_place_to_publish_is_refused() -> None:
    with pytest.raises(HeadstartError, match=r"^without --publish there is no use for registry_url"):
        Parameters(registry_url="http://registry:8080").check()
