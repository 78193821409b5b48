"""Weights that are built into an image are found in it, without a network."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import keras
import pytest
from docker.models.images import Image
from support import ROOT
from support.containers import RESTRICTED
from support.hub_presets import save_preset

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.classifier import build_backbone
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone, weights_digest

pytestmark = pytest.mark.slow

TAG = "headstart:with-weights"
PRESET = "dinov2_small"
SIZE = 64


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    return build_backbone(get_backbone("mobilenet_v2"), SIZE)


@pytest.fixture(scope="module")
def baked(
    engine: docker.DockerClient,
    image: Image,
    base: str,
    backbone: keras.Model,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """An image with these weights, built from copies of what the Dockerfile takes and nothing else."""
    context = tmp_path_factory.mktemp("context")
    for name in (".dockerignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, context)
    for name in ("headstart", "components", "pipelines", "docker"):
        shutil.copytree(ROOT / name, context / name)
    (context / "weights").mkdir()
    backbone.save_weights(context / "weights" / "mobilenet_v2.weights.h5")
    # By the name of one that KerasHub would download.
    save_preset("dinov2", context / "weights" / PRESET).chmod(0o700)
    arguments = ["--file", "docker/Dockerfile", "--target", "cpu", "--tag", TAG]
    arguments += ["--build-arg", "WEIGHTS=weights", "--build-arg", f"BASE={base}"]
    built = subprocess.run(["docker", "build", *arguments, "."], cwd=context, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    yield TAG
    engine.images.remove(TAG)


def test_baked_weights_are_the_backbone_s_own(baked: str, backbone: keras.Model, inside: Callable[..., str]) -> None:
    code = (
        "from headstart.components.core.backbones.table import get_backbone\n"
        "from headstart.components.core.networks import pretrained_weights as weights\n"
        f"backbone = weights.build_pretrained_backbone(get_backbone('mobilenet_v2'), {SIZE}, '')\n"
        "print(weights.weights_digest(backbone))\n"
    )
    assert inside("python3", "-c", code, image=baked, **RESTRICTED) == weights_digest(backbone)


def test_a_baked_preset_is_found_by_its_name(baked: str, tmp_path: Path, inside: Callable[..., str]) -> None:
    code = (
        "from headstart.components.core.backbones.table import get_backbone\n"
        "from headstart.components.core.networks import pretrained_weights as weights\n"
        "from headstart.components.core.recipes.recipe import load_recipe\n"
        "from headstart.components.list_data.preflight import check_weights\n"
        f"recipe = load_recipe().override(backbone='hub:{PRESET}')\n"
        "check_weights(recipe)\n"
        f"network = weights.build_pretrained_backbone(get_backbone(recipe.backbone), {SIZE}, '')\n"
        "print(weights.weights_digest(network))\n"
    )
    folder = save_preset("dinov2", tmp_path / PRESET)
    network = build_pretrained_backbone(get_backbone(f"hub:{folder}"), SIZE, "")
    assert inside("python3", "-c", code, image=baked, **RESTRICTED) == weights_digest(network)


def test_image_without_weights_has_an_empty_folder_for_them(image: Image, inside: Callable[..., str]) -> None:
    assert inside("sh", "-c", 'ls -A "$HEADSTART_WEIGHTS"') == ""
    assert Path(dict(line.split("=", 1) for line in image.attrs["Config"]["Env"])["HEADSTART_WEIGHTS"]).is_absolute()
