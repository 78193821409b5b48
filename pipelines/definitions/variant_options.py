"""Variants of a comparison, made from the options of the command line."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.backbones.table import get_backbone, is_hub_preset, is_own_network
from headstart.components.core.recipes.variants import METHODS, Variant, check_variant_names, read_variants
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml, read_user_text
from headstart.pipelines.definitions.parameters import Parameters

SHARED_PARAMETERS = (
    "data",
    "labels",
    "class_level",
    "max_side",
    "max_bad_fraction",
    "sha256",
    "corrections",
    "accept_suggestions",
    "image_column",
    "label_column",
    "group_column",
    "group_from",
    "strict_groups",
    "counts",
    "fractions",
    "order",
    "class_counts",
    "tiny_classes",
    "folds",
    "seed",
    "checkpoint_uri",
    "false_alarm",
)
"""Parameters that all variants share."""

VARIANT_PARAMETERS = ("recipe", "settings", "backbone", "weights", "image_size")
"""Parameters of the comparison that are defaults of its variants."""

DETERMINISTIC = "deterministic"
"""Parameter that becomes a setting of every variant."""

# All of a step's arguments travel as one, of which KFP takes 128 KiB.
_MOST_BYTES = 50_000


@dataclasses.dataclass(frozen=True)
class VariantChoices:
    """Choice of variants: every method with every backbone and recipe, or a list in a file.

    Attributes:
        methods: Some of `METHODS`; none: all of them, or `fine_tuned` where backbones or recipes are compared.
        backbones: Names of backbones, or `.keras` files or addresses of them; none: the parameters' own.
        recipes: Names or files of recipes; none: the parameters' own.
        file: YAML file with a list of variants; empty: none.
    """

    methods: Sequence[str] = ()
    backbones: Sequence[str] = ()
    recipes: Sequence[str] = ()
    file: str = ""


def make_variants(choices: VariantChoices, parameters: Parameters) -> list[Variant]:
    """Makes the variants, and checks each with its recipe.

    Args:
        choices: Choice of variants.
        parameters: Parameters, of which some are defaults of the variants.

    Raises:
        HeadstartError: If there are fewer than two variants, or one is wrong; the message names it.
    """
    if parameters.deterministic:
        settings = {DETERMINISTIC: True} | parameters.settings
        parameters = parameters.model_copy(update={"settings": settings})
    if choices.file:
        if choices.methods or choices.backbones or choices.recipes:
            raise HeadstartError("--variants has all that is compared; leave --methods, --backbones, --recipes out")
        variants = _read_variants(choices.file, parameters)
    else:
        variants = _combine(choices, parameters)
    variants = _map_parameters(variants, _check, parameters)
    size = len(json.dumps([each.model_dump() for each in variants]))
    if size > _MOST_BYTES:
        raise HeadstartError(
            f"{len(variants)} variants take {size:,} bytes with their recipes, and KFP passes {_MOST_BYTES:,}; "
            "compare fewer, or give their differences as settings"
        )
    return variants


def resolve_variant_paths(variants: list[Variant], parameters: Parameters) -> list[Variant]:
    """Copies of the variants with absolute local paths; see `Parameters.resolve_local_paths`."""
    return _map_parameters(variants, Parameters.resolve_local_paths, parameters)


def check_variants_for_pods(variants: list[Variant], parameters: Parameters, mounted: Sequence[str]) -> None:
    """Refuses weights that are a path of this machine; see `Parameters.check_for_pods`."""

    def check(own: Parameters) -> Parameters:
        own.check_for_pods(mounted)
        return own

    _map_parameters(variants, check, parameters)


def comparison_parameters(variants: list[Variant], parameters: Parameters) -> dict[str, Any]:
    """Parameters of the pipeline `compare_methods`."""
    shared = parameters.model_dump(include=set(SHARED_PARAMETERS))
    return shared | {"variants": [each.model_dump() for each in variants]}


def _check(own: Parameters) -> Parameters:
    own.check()
    return own.embed_recipe()


def _map_parameters(
    variants: list[Variant], change: Callable[[Parameters], Parameters], parameters: Parameters
) -> list[Variant]:
    """Copies of the variants, changed by a function of the parameters that train each."""
    changed = []
    for variant in variants:
        own = {name: getattr(variant, name) for name in VARIANT_PARAMETERS}
        try:
            made = change(parameters.model_copy(update=own))
        except HeadstartError as error:
            raise HeadstartError(f"variant {variant.name!r}: {error}") from None
        changed.append(variant.model_copy(update={name: getattr(made, name) for name in VARIANT_PARAMETERS}))
    return changed


def _read_variants(path: str, parameters: Parameters) -> list[Variant]:
    what = f"variants {path!r}"
    variants = read_variants(parse_yaml(read_user_text(path, what, pipes=True), what), what)
    shared = {name: getattr(parameters, name) for name in VARIANT_PARAMETERS}
    merged = []
    for variant in variants:
        own = {name: getattr(variant, name) for name in variant.model_fields_set}
        settings = parameters.settings | variant.settings
        merged.append(Variant(**(shared | own | {"name": variant.name, "settings": settings})))
    return merged


def _combine(choices: VariantChoices, parameters: Parameters) -> list[Variant]:
    several = choices.backbones or choices.recipes
    methods = choices.methods or (("fine_tuned",) if several else METHODS)
    for method in methods:
        if method not in METHODS:
            raise_unknown_name("method", method, list(METHODS))
    recipes = choices.recipes or [parameters.recipe]
    backbones = choices.backbones or [parameters.backbone]
    variants = []
    for recipe, backbone, method in itertools.product(recipes, backbones, methods):
        parts = [Path(recipe).stem] if len(recipes) > 1 else []
        if method == "from_scratch":
            # It has no backbone: once is enough.
            if backbone != backbones[0]:
                continue
        elif len(backbones) > 1:
            own = is_own_network(backbone) or is_hub_preset(backbone)
            parts.append(get_backbone(backbone).name if own else backbone)
        if len(methods) > 1 or not parts:
            parts.append(method)
        shared = {name: getattr(parameters, name) for name in VARIANT_PARAMETERS}
        varied = {"name": "-".join(parts), "method": method, "recipe": recipe, "backbone": backbone}
        variants.append(Variant.model_validate(shared | varied))
    check_variant_names([each.name for each in variants])
    return variants
