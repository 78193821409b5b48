"""`headstart backbones`."""

from typing import Annotated

import typer

from headstart.components.core.backbones.hub_families import check_hub_installed, list_named_presets
from headstart.components.core.backbones.table import (
    BACKBONES,
    HUB_PREFIX,
    Backbone,
    get_backbone,
    is_own_network,
)
from headstart.components.core.backbones.weights_files import (
    WEIGHTS_FOLDER,
    find_downloaded_weights,
    find_in_weights_folder,
    find_packaged_weights,
    find_preset_in_weights_folder,
    list_presets_in_weights_folder,
)
from headstart.components.core.recipes.hub_preset import (
    describe_hub_preset,
    find_hub_folder,
    open_hub_preset,
    read_hub_preset,
)
from headstart.components.core.recipes.licence import find_licence
from headstart.components.core.recipes.recipe import load_recipe
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.progress.console import print_table

_UNUSABLE, _NOT_STATED = "cannot be used", "not stated"
_TITLES = ("backbone", "pixels", "parameters", "features", "licence", "weights")


def backbones(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Backbones, also presets of KerasHub; if left out, all others, and presets in HEADSTART_WEIGHTS.",
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Also measure how many images a second each passes on this machine, which takes seconds for each.",
        ),
    ] = False,
) -> None:
    """Lists the backbones: image size, parameters, features, licence of the weights, and where these are.

    `pixels` is the side of the images that a backbone was trained on, and `features` the number of features that it
    makes of an image. Weights on this machine are included, in the folder HEADSTART_WEIGHTS, or in Keras' folder.
    """
    with check_options():
        if own := [name for name in names or () if is_own_network(name)]:
            raise HeadstartError(f"{own[0]!r} is a network of your own; this command lists those of the table")
        chosen = [get_backbone(name) for name in names or BACKBONES]
        rows = [_describe_preset(each) if each.preset else _describe(each) for each in chosen]
        for each in () if names else list_presets_in_weights_folder():
            here = get_backbone(HUB_PREFIX + each)
            rows.append(_describe_found(here))
            chosen += [here] if rows[-1][-1] != _UNUSABLE else []
    if not measure:
        print_table(_TITLES, rows)
        return
    rates = iter(_measure(chosen))
    shown = ([*row, "" if row[-1] == _UNUSABLE else f"{next(rates):,.1f}"] for row in rows)
    print_table((*_TITLES, "images/s"), shown)


def _describe(backbone: Backbone) -> list[str]:
    return [
        backbone.name,
        str(backbone.image_size),
        f"{backbone.parameters / 1e6:.1f} M",
        f"{backbone.width:,}",
        backbone.licence,
        _locate_weights(backbone),
    ]


def _describe_preset(backbone: Backbone) -> list[str]:
    """Row of a preset of KerasHub: what its files say, or of one that would be downloaded, what KerasHub says."""
    named = list_named_presets().get(backbone.preset)
    place = find_hub_folder(backbone)
    if named and named.family and not place:
        check_hub_installed()
        size, features = "", ""
        parameters, licence = f"{named.parameters / 1e6:.1f} M", named.licence or _NOT_STATED
        return [HUB_PREFIX + backbone.preset, size, parameters, features, licence, "to download"]
    with open_hub_preset(backbone, with_weights=False) as folder:
        preset = read_hub_preset(folder, describe_hub_preset(backbone))
    licence = find_licence(load_recipe(settings={"backbone": HUB_PREFIX + backbone.preset})) or _NOT_STATED
    shown = HUB_PREFIX + without_secrets(backbone.preset)
    if find_preset_in_weights_folder(backbone.preset):
        where = WEIGHTS_FOLDER
    else:
        where = "in a folder" if place else "to download"
    return [shown, str(preset.image_size), "", "", licence, where]


def _describe_found(backbone: Backbone) -> list[str]:
    """Row of a preset that nobody has asked for by its name; asked so, it says why it cannot be used."""
    try:
        return _describe_preset(backbone)
    except HeadstartError:
        return [HUB_PREFIX + backbone.preset, "", "", "", "", _UNUSABLE]


def _locate_weights(backbone: Backbone) -> str:
    if find_in_weights_folder(backbone):
        return WEIGHTS_FOLDER
    if find_packaged_weights(backbone):
        return "included"
    return "in Keras' folder" if find_downloaded_weights(backbone) else "to download"


def _measure(chosen: list[Backbone]) -> list[float]:
    """Images per second of each backbone, at its own image size; those of the table have random weights."""
    from headstart.components.core.util.logs import track_progress
    from headstart.pipelines.local.tensorflow_import import hold_back_library_output, import_tensorflow
    from headstart.pipelines.progress.command_progress import show_command

    with hold_back_library_output() as console, show_command("backbones", console):
        import_tensorflow()
        tracked = track_progress(chosen, "measuring", len(chosen), unit="backbones")
        return [_measure_one(each) for each in tracked]


def _measure_one(backbone: Backbone) -> float:
    from headstart.components.core.networks.throughput import measure_backbone

    if not backbone.preset:
        return measure_backbone(backbone.name, backbone.image_size).images_per_second
    name = HUB_PREFIX + backbone.preset
    size = resolve_recipe(load_recipe(settings={"backbone": name})).image_size
    return measure_backbone(name, size).images_per_second
