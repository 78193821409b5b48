"""The engine, and the image of the present source; without an engine these tests skip."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.models.images import Image
from support import ROOT

from headstart import __version__
from headstart.components.container_image import component_image


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    if not shutil.which("docker"):
        pytest.skip("there is no docker command here to build the image with")
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers at {os.environ.get('DOCKER_HOST', 'its usual place')}: {error}")
    machine = client.info()["Architecture"]
    if machine not in ("x86_64", "amd64") and "DOCKER_DEFAULT_PLATFORM" not in os.environ:
        pytest.skip(
            f"the image is for linux/amd64 and this engine for {machine}; see docs/reference/container-images.md"
        )
    return client


@pytest.fixture(scope="session")
def base(engine: docker.DockerClient) -> str:
    """The base image: the one that BASE names, or a local one by its tag, or the one that the Dockerfile pins."""
    pinned = re.search(r"^ARG BASE=(\S+)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert pinned
    named = os.environ.get("BASE", "")
    tag = pinned[1].partition("@")[0]
    if named:
        return named
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.images.get(tag)
        return tag
    return pinned[1]


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, base: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The cpu image."""
    make_image("image", base, tmp_path_factory)
    return engine.images.get(component_image())


@pytest.fixture(scope="session")
def serve_image(engine: docker.DockerClient, base: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of the server."""
    make_image("image-serve", base, tmp_path_factory)
    return engine.images.get(f"headstart-serve:{__version__}")


def make_image(target: str, base: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Builds an image, each time: the builder's cache knows best what is unchanged.

    Of several processes of one run each waits for the one before, and finds what that has built.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = subprocess.run(["make", target, f"BASE={base}"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]


@pytest.fixture(scope="session")
def inside(engine: docker.DockerClient, image: Image) -> Callable[..., str]:
    """Runs a command in a container of the image, or another one, and returns what it prints."""

    def run(*command: str, image: str = component_image(), **options: Any) -> str:
        output = engine.containers.run(image, list(command), remove=True, stderr=False, **options)
        return output.decode().strip()

    return run
