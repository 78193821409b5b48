"""The image of the server, run as strictly as a cluster can: it answers as the published SavedModel does."""

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from docker.models.images import Image
from support import ROOT
from support.commands import eventually
from support.containers import RESTRICTED

from headstart import __version__
from headstart.components.core.networks.saved_model_parity import predict_drawn_images
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.registry.registry import read_champion

pytestmark = pytest.mark.slow

REGISTRY = ROOT / "tests" / "compatibility" / "artifacts" / "registry"
ASK = """
import json, sys, urllib.request
path, body = json.load(sys.stdin)
request = urllib.request.Request("http://127.0.0.1:8080" + path, body and json.dumps(body).encode())
request.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


@pytest.fixture(scope="module")
def server(engine: docker.DockerClient, serve_image: Image) -> Iterator[Container]:
    mounted = {str(REGISTRY): {"bind": "/models", "mode": "ro"}}
    container = engine.containers.run(
        serve_image, ["/models", "--name", "pets"], detach=True, volumes=mounted, **RESTRICTED
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def ask(container: Container, path: str, body: Any = None) -> str:
    """Sends a request from within the container, which has no network."""
    command = ["docker", "exec", "-i", container.id, "python3", "-c", ASK]
    done = subprocess.run(command, input=json.dumps([path, body]), capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def test_strictest_container_serves_the_champion_as_it_was_published(server: Container) -> None:
    assert eventually(lambda: bool(ask(server, "/v2/health/ready")), 300), server.logs().decode()[-4000:]
    champion = read_champion(str(REGISTRY))
    assert champion
    drawn = predict_drawn_images(champion.address, champion.version, find_model(champion.address)[1])
    images = [{"image_bytes": {"b64": base64.b64encode(each).decode()}} for each in drawn.files]
    answer = json.loads(ask(server, "/v1/models/pets:predict", {"instances": images}))
    assert answer["model_version"] == champion.version.version
    drawn.compare(answer["predictions"])
    heat = json.loads(ask(server, "/v1/models/pets:explain", {"instances": images[:1]}))
    assert max(map(max, heat["explanations"][0]["heatmap"])) in (0, 1)
    assert "<html" in ask(server, "/")
    assert 'headstart_images_total{version="' in ask(server, "/metrics")
    server.stop(timeout=60)
    assert server.wait()["StatusCode"] == 0


def test_image_has_no_pipelines_and_is_small(engine: docker.DockerClient, serve_image: Image, base: str) -> None:
    assert serve_image.labels["org.opencontainers.image.version"] == __version__
    assert int(serve_image.attrs["Config"]["User"].partition(":")[0]) > 0
    assert serve_image.attrs["Size"] - engine.images.get(base).attrs["Size"] < 1.45e9
    code = (
        "import importlib.util as u; print([m for m in ('kfp', 'sklearn', 'matplotlib', 'onnx', 'pip') "
        "if u.find_spec(m)])"
    )
    found = engine.containers.run(serve_image, ["-c", code], entrypoint="python3", remove=True)
    assert found.decode().strip() == "[]"
