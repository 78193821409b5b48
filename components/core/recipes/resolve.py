"""Resolving of recipes whose backbone is a file or a preset of the user's, which says what image size it takes."""

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.recipes.hub_preset import check_hub_preset, open_hub_preset
from headstart.components.core.recipes.own_network import check_own_network, open_own_network
from headstart.components.core.recipes.recipe import Recipe


def resolve_recipe(recipe: Recipe) -> Recipe:
    """Resolves a recipe as `Recipe.resolve` does, and reads the image size of an own network or a preset.

    Raises:
        HeadstartError: If there is no such backbone, the image size does not suit it, or a network of the user's own
            or a preset cannot be used; see `check_own_network` and `check_hub_preset`.
    """
    resolved, backbone = recipe.resolve(), get_backbone(recipe.backbone)
    if backbone.preset:
        with open_hub_preset(backbone, with_weights=False) as folder:
            return resolved.model_copy(update={"image_size": check_hub_preset(folder, backbone, recipe)})
    if not backbone.file:
        return resolved
    with open_own_network(backbone, recipe.weights_sha256) as file:
        return resolved.model_copy(update={"image_size": check_own_network(file, backbone, recipe)})
