"""Refuses, while an image is built, weights that no step would find or that do not fit."""

import os
import sys
from pathlib import Path

from headstart.components.core.backbones.table import HUB_PREFIX, get_backbone
from headstart.components.core.backbones.weights_files import PRESET_CONFIG
from headstart.components.core.util.errors import HeadstartError

SUFFIX = ".weights.h5"


def main() -> None:
    """Loads each `BACKBONE.weights.h5` and each preset's folder of the working directory into its backbone."""
    files, folders = sorted(Path().glob(f"*{SUFFIX}")), sorted(path for path in Path().iterdir() if path.is_dir())
    if os.environ.get("WEIGHTS") and not files and not folders:
        raise HeadstartError(
            f"{os.environ['WEIGHTS']} has no BACKBONE{SUFFIX}, such as mobilenet_v2{SUFFIX}, and no preset's folder"
        )
    for file in files:
        backbone = get_backbone(file.name.removesuffix(SUFFIX))

        from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone

        build_pretrained_backbone(backbone, backbone.image_size, str(file))
    for folder in folders:
        check_preset(folder)


def check_preset(folder: Path) -> None:
    """Builds a preset of KerasHub at its own image size."""
    if not (folder / PRESET_CONFIG).is_file():
        raise HeadstartError(
            f"{folder}/ is no preset: it has no {PRESET_CONFIG}; put in what KerasHub's save_to_preset writes, with "
            "the preset's name as the folder's"
        )
    from headstart.components.core.networks.pretrained_weights import build_pretrained_backbone
    from headstart.components.core.recipes.hub_preset import describe_hub_preset, open_hub_preset, read_hub_preset

    backbone = get_backbone(f"{HUB_PREFIX}./{folder}")
    with open_hub_preset(backbone, with_weights=False) as files:
        size = read_hub_preset(files, describe_hub_preset(backbone)).image_size
    build_pretrained_backbone(backbone, size, "")


try:
    main()
except HeadstartError as error:
    sys.exit(f"cannot bake the weights in: {error}")
