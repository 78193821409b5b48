"""Files of pretrained weights on this machine, found without TensorFlow."""

import os
from importlib.resources import files
from pathlib import Path, PurePosixPath

from headstart.components.core.backbones.table import Backbone
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home

WEIGHTS_FOLDER = "HEADSTART_WEIGHTS"
"""Environment variable that names a folder of `BACKBONE.weights.h5` files and of presets' folders; empty: none."""

PRESET_CONFIG = "config.json"
"""File in the folder of every preset of KerasHub."""

_PACKAGED = Path(str(files("headstart.components.core.backbones"))) / "pretrained"


def find_in_weights_folder(backbone: Backbone) -> Path | None:
    """Finds the backbone's file in the folder that the environment names; None if there is none.

    Raises:
        HeadstartError: If the environment names something else than a folder.
    """
    folder = _find_weights_folder()
    file = folder / f"{backbone.name}.weights.h5" if folder else None
    return file if file and file.is_file() else None


def find_preset_in_weights_folder(name: str) -> Path | None:
    """Finds the folder of a preset in the folder that the environment names; None if there is none.

    Args:
        name: Name of a preset; one with a slash is a path or an address, and not looked for.

    Raises:
        HeadstartError: If the environment names something else than a folder.
    """
    folder = None if "/" in name else _find_weights_folder()
    preset = folder / name if folder else None
    return preset if preset and (preset / PRESET_CONFIG).is_file() else None


def list_presets_in_weights_folder() -> list[str]:
    """Names of the presets in the folder that the environment names, in order.

    Raises:
        HeadstartError: If the environment names something else than a folder.
    """
    folder = _find_weights_folder()
    return sorted(file.parent.name for file in folder.glob(f"*/{PRESET_CONFIG}")) if folder else []


def find_packaged_weights(backbone: Backbone) -> Path | None:
    """Finds weights that come with this package; None if Keras has to download those of the backbone."""
    file = _PACKAGED / f"{backbone.name}.weights.h5"
    return file if file.is_file() else None


def find_downloaded_weights(backbone: Backbone) -> Path | None:
    """Finds weights that Keras has downloaded to this machine before; None if there are none."""
    if not backbone.keras_file:
        return None
    home = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    file = home / "models" / PurePosixPath(backbone.keras_file).name
    return file if file.is_file() else None


def _find_weights_folder() -> Path | None:
    named = os.environ.get(WEIGHTS_FOLDER, "")
    if not named:
        return None
    folder = expand_home(named)
    if not folder.is_dir():
        raise HeadstartError(
            f"{WEIGHTS_FOLDER} is {named!r}, which is not a folder; name a folder of BACKBONE.weights.h5 files and "
            "presets, or unset it"
        )
    return folder
