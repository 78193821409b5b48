from importlib import resources
from pathlib import Path

from support.own_networks import save_usual
from support.stores import Stored

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone, weights_digest


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
