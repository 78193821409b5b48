"""Licence of the pretrained weights that a recipe trains from."""

from headstart.components.core.backbones.hub_families import list_named_presets
from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.recipes.hub_preset import open_hub_preset, read_hub_licence
from headstart.components.core.recipes.recipe import Recipe


def find_licence(recipe: Recipe) -> str:
    """Licence of the pretrained weights as their publishers state it, an SPDX identifier; empty if it is not known.

    That of a preset is the one at the head of its README.md, or else the one of its family if KerasHub knows it by
    name.

    Args:
        recipe: Recipe whose backbone can be used.
    """
    backbone = get_backbone(recipe.backbone)
    if backbone.preset:
        with open_hub_preset(backbone, with_weights=False) as folder:
            if stated := read_hub_licence(folder):
                return stated
        named = list_named_presets().get(backbone.preset)
        return named.licence if named else ""
    return backbone.licence if recipe.weights in ("", backbone.pretrained) else ""
