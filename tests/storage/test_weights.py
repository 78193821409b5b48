from importlib import resources

from support.stores import Stored

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone, weights_digest


def test_weights_come_from_a_store(listed: Stored) -> None:
    backbone = get_backbone("sketchnet")
    package = resources.files("headstart.components.core.backbones")
    uri = listed.upload("weights.h5", (package / "pretrained" / "sketchnet.weights.h5").read_bytes())
    loaded, own = (build_pretrained_backbone(backbone, 64, weights) for weights in (uri, ""))
    assert weights_digest(loaded) == weights_digest(own)
