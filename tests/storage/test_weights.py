from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.hub_presets import save_preset
from support.own_networks import save_usual
from support.stores import Stored
from support.timm_checkpoints import save_timm

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone, weights_digest
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.resolve import resolve_recipe


def test_weights_come_from_a_store(listed: Stored) -> None:
    backbone = get_backbone("sketchnet")
    package = resources.files("headstart.components.core.backbones")
    uri = listed.upload("weights.h5", (package / "pretrained" / "sketchnet.weights.h5").read_bytes())
    loaded, own = (build_pretrained_backbone(backbone, 64, weights) for weights in (uri, ""))
    assert weights_digest(loaded) == weights_digest(own)


def test_a_network_of_the_users_own_comes_from_a_store(listed: Stored, tmp_path: Path) -> None:
    file = save_usual(tmp_path / "own.keras")
    uri = listed.upload("own.keras", file.read_bytes())
    there, here = (build_pretrained_backbone(get_backbone(place), 32, "") for place in (uri, str(file)))
    assert weights_digest(there) == weights_digest(here)


@pytest.mark.parametrize(
    ("save", "size"), [(partial(save_preset, "mobilenet"), 32), (save_timm, 64)], ids=["kerashub", "timm"]
)
def test_a_preset_comes_from_a_store(listed: Stored, tmp_path: Path, save: Callable[[Path], Any], size: int) -> None:
    folder = tmp_path / "tiny"
    save(folder)
    for file in folder.iterdir():
        listed.upload(f"presets/tiny/{file.name}", file.read_bytes())
    uri = f"hub:{listed.uri('presets/tiny')}"
    assert resolve_recipe(load_recipe(settings={"backbone": uri})).image_size == size
    there, here = (build_pretrained_backbone(get_backbone(place), size, "") for place in (uri, f"hub:{folder}"))
    assert (there.name, weights_digest(there)) == ("tiny.hub", weights_digest(here))
