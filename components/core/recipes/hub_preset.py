"""Presets of KerasHub as backbones: finding or downloading the files, and checking them before TensorFlow starts."""

import contextlib
import dataclasses
import difflib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.artifacts.model import LARGEST_IMAGE
from headstart.components.core.backbones.hub_families import (
    FAMILIES,
    TIMM_FAMILIES,
    HubFamily,
    check_hub_installed,
    list_named_presets,
)
from headstart.components.core.backbones.table import HUB_HANDLES, HUB_PREFIX, Backbone
from headstart.components.core.backbones.weights_files import (
    PRESET_CONFIG,
    WEIGHTS_FOLDER,
    find_preset_in_weights_folder,
)
from headstart.components.core.recipes.recipe import Recipe
from headstart.components.core.storage.cached_download import open_pretrained_file
from headstart.components.core.storage.files import sha256_of_file
from headstart.components.core.storage.manifests import parse_json
from headstart.components.core.storage.stores import is_remote, open_store, without_secrets
from headstart.components.core.util.errors import HeadstartError, Unavailable, first_line
from headstart.components.core.util.logs import log_phase
from headstart.components.core.util.paths import expand_home

CONVERTER, WEIGHTS, README = "image_converter.json", "model.weights.h5", "README.md"
"""Files of a preset, besides `PRESET_CONFIG`."""

SAFETENSORS = "model.safetensors"
"""File of the weights in timm's format, in the place of `WEIGHTS`."""

HUB_WAY_OUT = (
    f"pass the folder of a preset, {HUB_PREFIX}path, {HUB_PREFIX}gs://… or {HUB_PREFIX}s3://…, which KerasHub's "
    "save_to_preset writes"
)

_MOST_JSON_BYTES = 2**20
_SCALED_BY = {WEIGHTS: CONVERTER, SAFETENSORS: f"pretrained_cfg with input_size, mean and std in its {PRESET_CONFIG}"}
_DEFAULT_SIZE = 224
"""Image size of a preset that takes any and names none, in pixels."""

TOWERS = {"CLIPBackbone": "vision_encoder", "SigLIPBackbone": "vision_encoder"}
"""Part of a preset with several networks that sees images, by the class of the preset."""

_TOWER_MODULES = ("keras_hub.src.models.clip.", "keras_hub.src.models.siglip.")


@dataclasses.dataclass(frozen=True)
class HubPreset:
    """Facts about a preset, from its configuration.

    Attributes:
        class_name: Name of its class in KerasHub.
        family: Family that it is of.
        image_size: Side in pixels of the images that it was trained with.
        patch_size: Side in pixels of a patch; 0: it has none.
        scaling: Factor and offset of each channel that its image converter scales pixels by; None: it has none.
        weights_file: Name of the file of its weights: `WEIGHTS`, or `SAFETENSORS` if it is in timm's format.
    """

    class_name: str
    family: HubFamily
    image_size: int
    patch_size: int
    scaling: tuple[list[float], list[float]] | None
    weights_file: str = WEIGHTS


def describe_hub_preset(backbone: Backbone) -> str:
    """Name of a preset in messages."""
    return f"backbone {HUB_PREFIX + without_secrets(backbone.preset)!r}"


@contextlib.contextmanager
def open_hub_preset(backbone: Backbone, sha256: str = "", with_weights: bool = True) -> Iterator[Path]:
    """Finds the files of a preset, downloaded and cached if they are elsewhere, in one folder.

    Args:
        backbone: Row of `get_backbone` with a preset.
        sha256: Checksum that the file of its weights must have, in hexadecimal; empty: any.
        with_weights: Whether the weights are wanted, too.

    Raises:
        HeadstartError: If KerasHub is not installed, there is no such preset, a file is missing or cannot be
            downloaded, or the weights have another checksum.
    """
    check_hub_installed()
    what, place = describe_hub_preset(backbone), backbone.preset
    with contextlib.ExitStack() as stack:

        def find(*names: str) -> dict[str, Path]:
            if is_remote(place):
                return _open_remote(place.rstrip("/"), names, sha256.lower(), what, stack)
            if folder := _find_folder(place):
                return {name: folder / name for name in names if (folder / name).is_file()}
            return _download(place, names, what)

        files = find(PRESET_CONFIG, CONVERTER, README)
        if PRESET_CONFIG not in files:
            raise HeadstartError(f"{what} has no {PRESET_CONFIG}; {HUB_WAY_OUT}")
        if with_weights:
            weights = SAFETENSORS if _is_timm(_read_json(files[PRESET_CONFIG], what)) else WEIGHTS
            files |= find(weights)
            if weights not in files:
                more = " (of timm's formats only this one is read)" if weights == SAFETENSORS else ""
                raise HeadstartError(f"{what} has no {weights}{more}; {HUB_WAY_OUT}")
            if sha256 and (there := sha256_of_file(files[weights])) != sha256.lower():
                raise HeadstartError(
                    f"weights of {what} have sha256 {there}, not {sha256}; check the preset or the digest"
                )
        together = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headstart-")))
        # Links, so that nothing else of the folder counts, and files of the cache have their names.
        for name, file in files.items():
            (together / name).symlink_to(file.absolute())
        yield together


def find_hub_folder(backbone: Backbone) -> Path | None:
    """Finds the folder of a preset on this machine; None if it would be downloaded."""
    return None if is_remote(backbone.preset) else _find_folder(backbone.preset)


def read_hub_preset(folder: Path, what: str) -> HubPreset:
    """Reads the configuration of a preset and of its image converter; nothing is built.

    Args:
        folder: Folder of `open_hub_preset`.
        what: Name of the preset in messages.

    Raises:
        HeadstartError: If it is not a preset of KerasHub, is of a family that sees no images or is not known here, or
            its configuration is damaged.
    """
    config = _read_json(folder / PRESET_CONFIG, what)
    if _is_timm(config):
        return _read_timm(config, what)
    name = config.get("class_name")
    if not isinstance(name, str) or "registered_name" not in config:
        raise HeadstartError(
            f"{what} is not in KerasHub's format; convert it once, in Python, by "
            "keras_hub.models.Backbone.from_preset(…).save_to_preset(folder), its image converter likewise"
        )
    if name not in FAMILIES:
        raise HeadstartError(
            f"{what} is a {name}, which is no backbone for images that this version knows; it knows presets of "
            f"{', '.join(sorted({each.folder for each in FAMILIES.values()}))}"
        )
    settings = _settings(config, what)
    _check_nested(settings, what)
    if tower := TOWERS.get(name):
        settings = _settings(settings.get(tower), what)
    shape = settings.get("image_shape") or settings.get("input_shape") or [None, None, 3]
    patch = settings.get("patch_size") or 0
    side, patch = shape[0], patch if isinstance(patch, int) else patch[0]
    if (folder / CONVERTER).is_file():
        converter = _settings(_read_json(folder / CONVERTER, what), what)
        scaling, wanted = _read_scaling(converter, what), converter.get("image_size")
        size = converter.get("height") or (wanted[0] if wanted else 0)
    else:
        scaling, size = None, 0
    family = FAMILIES[name]
    trained = side if family.sizes == "one" else (size or side)
    return HubPreset(name, family, int(trained or _DEFAULT_SIZE), int(patch), scaling)


def check_hub_preset(folder: Path, backbone: Backbone, recipe: Recipe) -> int:
    """Checks what the configuration of a preset tells; it is not built.

    Args:
        folder: Folder of `open_hub_preset`.
        backbone: Its row.
        recipe: Recipe that it is used with.

    Returns:
        Side of its images in pixels.

    Raises:
        HeadstartError: If it cannot be used, takes no images of this size, the scaling of its pixels is unknown or
            stated twice, or LoRA is asked of a convolutional network.
    """
    what = describe_hub_preset(backbone)
    preset = read_hub_preset(folder, what)
    wanted = recipe.image_size or preset.image_size
    sizes, patch = preset.family.sizes, preset.patch_size
    if sizes == "one" and wanted != preset.image_size:
        raise HeadstartError(
            f"image size {wanted}: {what} takes images of {preset.image_size} x {preset.image_size} pixels only; "
            "leave the image size out"
        )
    if sizes == "patches" and wanted % patch:
        raise HeadstartError(
            f"image size {wanted}: {what} takes multiples of its patches of {patch} pixels only, such as "
            f"{max(1, round(wanted / patch)) * patch}"
        )
    if wanted > LARGEST_IMAGE:
        raise HeadstartError(f"image size {wanted} of {what}: more than {LARGEST_IMAGE} pixels; choose a smaller one")
    if recipe.scaling == "backbone" and preset.scaling is None:
        needed = _SCALED_BY[preset.weights_file]
        raise HeadstartError(
            f"{what} has no {needed}, so the scaling of its pixels is unknown; save it, too, or "
            "state the scaling: --set scaling=none (0 to 255), tf (-1 to 1), unit (0 to 1), torch, caffe or tf128"
        )
    if recipe.scaling != "backbone" and preset.scaling is not None:
        raise HeadstartError(f"scaling {recipe.scaling!r}: {what} brings its own image converter; leave scaling out")
    recipe.check_method(what, preset.family.has_attention)
    return wanted


def read_hub_licence(folder: Path) -> str:
    """Licence of the weights that the head of a preset's README.md states, or timm's configuration; empty: none."""
    file, stated = folder / README, dict[str, str]()
    if file.is_file():
        lines = file.read_text(encoding="utf-8", errors="replace")[:_MOST_JSON_BYTES].splitlines()
        for line in lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else ():
            key, _, value = line.partition(":")
            stated[key] = value.strip().strip("\"'")
    licence = stated.get("license", "")
    if licence == "other":
        # Hugging Face has names for the best known licences alone.
        licence = stated.get("license_name") or licence
    if not licence and (config := folder / PRESET_CONFIG).is_file():
        match _read_json(config, str(folder)):
            case {"pretrained_cfg": {"license": str(licence)}}:
                return licence
    return licence


def _is_timm(config: dict[str, Any]) -> bool:
    """Whether a configuration is in timm's format, told as KerasHub tells it."""
    return "architecture" in config and "registered_name" not in config and "model_type" not in config


def _read_timm(config: dict[str, Any], what: str) -> HubPreset:
    architecture = str(config["architecture"])
    name = next((each for start, each in TIMM_FAMILIES.items() if architecture.startswith(start)), "")
    if not name:
        raise HeadstartError(
            f"{what} is timm's {architecture!r}, which KerasHub does not convert; it converts networks of timm whose "
            f"names begin with {', '.join(sorted(TIMM_FAMILIES))}"
        )
    size, scaling = _DEFAULT_SIZE, None
    match config.get("pretrained_cfg"):
        case {"input_size": [_, int(size), _], "mean": list(mean), "std": list(deviation)}:
            try:
                means, deviations = _by_channel(mean), _by_channel(deviation)
                scaling = (
                    [1 / 255 / each for each in deviations],
                    [-each / by for each, by in zip(means, deviations, strict=True)],
                )
            except (TypeError, ValueError, ZeroDivisionError) as error:
                raise HeadstartError(
                    f"{what}: pretrained_cfg in {PRESET_CONFIG} has no usable mean and std ({first_line(error)}); "
                    f"{HUB_WAY_OUT}"
                ) from None
    return HubPreset(name, FAMILIES[name], size, 0, scaling, SAFETENSORS)


def _find_folder(place: str) -> Path | None:
    """Folder on this machine: the one that is named, or one with the preset's name in the folder of weights."""
    if place.startswith(HUB_HANDLES):
        return None
    if found := find_preset_in_weights_folder(place):
        return found
    folder = expand_home(place)
    return folder if folder.is_dir() else None


def _open_remote(
    address: str, names: Sequence[str], sha256: str, what: str, stack: contextlib.ExitStack
) -> dict[str, Path]:
    there = {found.uri.rpartition("/")[2] for found in open_store(address).list(f"{address}/")}
    return {
        name: stack.enter_context(
            open_pretrained_file(f"{address}/{name}", sha256 if name in (WEIGHTS, SAFETENSORS) else "", HUB_WAY_OUT)
        )
        for name in names
        if name in there
    }


def _download(place: str, names: Sequence[str], what: str) -> dict[str, Path]:
    """Downloads files of a preset as KerasHub does, into the same cache."""
    log_phase("downloading the preset")
    fetch = _fetch_from_hugging_face(place) if place.startswith("hf://") else _fetch_from_kaggle(place, what)
    files = {}
    for name in names:
        try:
            files[name] = Path(fetch(name))
        except Exception as error:
            # Clients of both hubs raise errors of many kinds, also for a file that a preset need not have.
            if name in (PRESET_CONFIG, WEIGHTS, SAFETENSORS):
                at_hand = "" if "/" in place else f"; or name in {WEIGHTS_FOLDER} a folder with {place}/"
                raise Unavailable(f"cannot download {what} ({_shorten(error)}); {HUB_WAY_OUT}{at_hand}") from None
    return files


def _fetch_from_hugging_face(place: str) -> Callable[[str], str]:
    import huggingface_hub

    # It would say of each of its retries what the message says once.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    return lambda name: str(huggingface_hub.hf_hub_download(place.removeprefix("hf://"), name))


def _fetch_from_kaggle(place: str, what: str) -> Callable[[str], str]:
    handle = place if place.startswith("kaggle://") else _find_handle(place, what)
    import kagglehub

    return lambda name: str(kagglehub.model_download(handle.removeprefix("kaggle://"), name))


def _find_handle(name: str, what: str) -> str:
    if "/" in name or name.startswith((".", "~")):
        raise HeadstartError(f"{what}: no such folder; {HUB_WAY_OUT}")
    known = list_named_presets()
    if name not in known:
        usable = [each for each, preset in known.items() if preset.family]
        close = difflib.get_close_matches(name, usable, n=3, cutoff=0.4)
        raise HeadstartError(
            f"{what}: KerasHub knows no preset of this name; the nearest are {', '.join(close or usable[:3])}; or "
            f"{HUB_WAY_OUT}"
        )
    if known[name].family is None:
        raise HeadstartError(
            f"{what} is a preset of {known[name].folder}, which is no backbone for images known here; it "
            f"knows presets of {', '.join(sorted({each.folder for each in FAMILIES.values()}))}"
        )
    return known[name].handle


def _shorten(error: Exception) -> str:
    text = first_line(error)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _read_json(file: Path, what: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_JSON_BYTES:
            raise ValueError("it is too large")
        value = parse_json(file.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("it is no mapping")
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{what}: {file.name} cannot be read ({first_line(error)}); {HUB_WAY_OUT}") from None
    return value


def _settings(config: Any, what: str) -> dict[str, Any]:
    match config:
        case {"config": dict(settings)}:
            return settings
    raise HeadstartError(f"{what}: a configuration without settings; {HUB_WAY_OUT}")


def _check_nested(settings: dict[str, Any], what: str) -> None:
    """Refuses objects in a configuration that are neither Keras' own nor towers of KerasHub."""
    from headstart.components.core.artifacts.keras_file import check_keras_only

    for each in settings.values():
        tower = isinstance(each, dict) and str(each.get("module")).startswith(_TOWER_MODULES)
        if tower:
            _check_nested(_settings(each, what), what)
        else:
            try:
                check_keras_only(each)
            except HeadstartError as error:
                raise HeadstartError(f"{what}: {error}; {HUB_WAY_OUT}") from None


def _read_scaling(settings: dict[str, Any], what: str) -> tuple[list[float], list[float]]:
    """Factor and offset of each channel; an older form has mean and variance of scaled pixels."""
    scale, offset = settings.get("scale"), settings.get("offset")
    try:
        factors = _by_channel(1.0 if scale is None else scale)
        if "mean" in settings and "variance" in settings:
            deviations = [value**0.5 for value in _by_channel(settings["variance"])]
            means = _by_channel(settings["mean"])
            return (
                [factor / each for factor, each in zip(factors, deviations, strict=True)],
                [-mean / each for mean, each in zip(means, deviations, strict=True)],
            )
        return factors, _by_channel(0.0 if offset is None else offset)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise HeadstartError(
            f"{what}: {CONVERTER} has no usable scaling ({first_line(error)}); {HUB_WAY_OUT}"
        ) from None


def _by_channel(value: Any) -> list[float]:
    values = [float(each) for each in value] if isinstance(value, list) else [float(value)] * 3
    if len(values) != 3:
        raise ValueError(f"{len(values)} channels instead of 3")
    return values
