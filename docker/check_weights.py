"""Refuses, while an image is built, weights that no step would find or that do not fit."""

import os
import sys
from pathlib import Path

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.util.errors import HeadstartError

SUFFIX = ".weights.h5"


def main() -> None:
    """Loads each `BACKBONE.weights.h5` of the working directory into its backbone."""
    files = sorted(Path().glob(f"*{SUFFIX}"))
    if os.environ.get("WEIGHTS") and not files:
        raise HeadstartError(f"{os.environ['WEIGHTS']} has no BACKBONE{SUFFIX}, such as mobilenet_v2{SUFFIX}")
    for file in files:
        backbone = get_backbone(file.name.removesuffix(SUFFIX))

        from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone

        build_pretrained_backbone(backbone, backbone.image_size, str(file))


try:
    main()
except HeadstartError as error:
    sys.exit(f"cannot bake the weights in: {error}")
