"""The example for Docker Compose, started as it stands: it serves the champion, follows it, and stops in order."""

import base64
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests
from docker.models.containers import Container
from docker.models.images import Image
from support import ROOT
from support.commands import eventually
from support.stores import answers

from headstart.components.core.networks.saved_model_parity import predict_drawn_images
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.registry.registry import list_versions, read_champion, roll_back

pytestmark = pytest.mark.slow

REGISTRY = ROOT / "tests" / "compatibility" / "artifacts" / "registry"
Compose = Callable[..., str]


@pytest.fixture(scope="session")
def program() -> list[str]:
    """The command of Docker Compose: docker's plugin, or the older program; looked for before the image is built."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("there is neither docker compose nor docker-compose here to start the example with")


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def compose(
    program: list[str], port: int, serve_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Compose]:
    """Runs Docker Compose in a copy of the example, with models beside it."""
    folder = tmp_path / f"serving{port}"
    shutil.copytree(REGISTRY, folder / "models")
    shutil.copy(ROOT / "examples" / "serving" / "compose.yaml", folder)
    monkeypatch.setenv("PORT", str(port))

    def run(*arguments: str) -> str:
        done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        run("up", "--detach")
        yield run
    finally:
        run("down", "--timeout", "0")


def test_example_serves_the_champion_follows_it_and_stops_in_order(
    compose: Compose, engine: docker.DockerClient, port: int, tmp_path: Path
) -> None:
    server = engine.containers.get(compose("ps", "--quiet").strip())
    address, models = f"http://127.0.0.1:{port}", str(tmp_path / f"serving{port}" / "models")
    assert eventually(lambda: answers(f"{address}/v2/health/ready"), 300), server.logs().decode()[-4000:]
    champion = read_champion(models)
    assert champion
    drawn = predict_drawn_images(champion.address, champion.version, find_model(champion.address)[1])
    images = [{"image_bytes": {"b64": base64.b64encode(each).decode()}} for each in drawn.files]

    def predict() -> dict[str, object]:
        asked = requests.post(f"{address}/v1/models/pets:predict", json={"instances": images}, timeout=60)
        return dict(asked.json())

    answer = predict()
    assert answer["model_version"] == champion.version.version
    drawn.compare(answer["predictions"])
    assert f'headstart_images_total{{version="{champion.version.version}"' in get(f"{address}/metrics")
    assert eventually(lambda: health(server) == "healthy", 60)
    assert int(run_in(server, "id -u")[1]) > 0
    assert run_in(server, "touch /tmp/x")[0] == 0
    for place in ("/x", "/models/x", "/opt/headstart/x"):
        assert run_in(server, f"touch {place}")[0] != 0

    (other,) = {each.version for each in list_versions(models).versions} - {champion.version.version}
    roll_back(models, other)
    assert eventually(lambda: predict()["model_version"] == other, 120), server.logs().decode()[-4000:]
    assert "DeprecationWarning" not in server.logs().decode()
    compose("stop")
    server.reload()
    assert (server.attrs["State"]["Status"], server.attrs["State"]["ExitCode"]) == ("exited", 0)


def get(address: str) -> str:
    answer = requests.get(address, timeout=10)
    answer.raise_for_status()
    return answer.text


def health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def run_in(container: Container, command: str) -> tuple[int, str]:
    """Runs a command in a container; returns its status and what it prints."""
    done = container.exec_run(command)
    return done.exit_code, done.output.decode()
