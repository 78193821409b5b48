"""The variants of a comparison, as they are asked for on the command line."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headstart.components.core.recipes.variants import METHODS, Variant, check_variant_names, read_variants
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml, read_user_text
from headstart.pipelines.definitions.parameters import Parameters

DATA = (
    "data",
    "labels",
    "class_level",
    "max_side",
    "max_bad_fraction",
    "sha256",
    "corrections",
    "image_column",
    "label_column",
    "counts",
    "fractions",
    "order",
    "class_counts",
    "tiny_classes",
    "seed",
    "checkpoint_uri",
)
"""Parameters of the pipeline that all variants share."""

TRAINING = ("recipe", "settings", "backbone", "weights", "image_size")
"""Parameters that a variant has where it does not say otherwise."""

DETERMINISTIC = "deterministic"
"""A parameter that becomes a setting of every variant."""

# All of a step's arguments travel as one, of which KFP takes 128 KiB.
_MOST_BYTES = 50_000


@dataclasses.dataclass(frozen=True)
class Choices:
    """What is to be compared: every method with every backbone and recipe, or what a file says.

    Attributes:
        methods: Some of `METHODS`; none: all of them, or `fine_tuned` where backbones or recipes are compared.
        backbones: Names of backbones; none: the parameters' own.
        recipes: Names or files of recipes; none: the parameters' own.
        file: A YAML file with a list of variants; empty: there is none.
    """

    methods: Sequence[str] = ()
    backbones: Sequence[str] = ()
    recipes: Sequence[str] = ()
    file: str = ""


def variants_of(choices: Choices, parameters: Parameters) -> list[Variant]:
    """Makes the variants and checks each, with its recipe.

    Args:
        choices: What is to be compared.
        parameters: What a variant has where it does not say otherwise.

    Raises:
        HeadstartError: There are fewer than two, or something is wrong with one; the message names it.
    """
    if parameters.deterministic:
        settings = {DETERMINISTIC: True} | parameters.settings
        parameters = parameters.model_copy(update={"settings": settings})
    if choices.file:
        if choices.methods or choices.backbones or choices.recipes:
            raise HeadstartError("--variants says all that is compared; leave --methods, --backbones, --recipes out")
        variants = _from_file(choices.file, parameters)
    else:
        variants = _crossed(choices, parameters)
    variants = _each(variants, _checked, parameters)
    size = len(json.dumps([each.model_dump() for each in variants]))
    if size > _MOST_BYTES:
        raise HeadstartError(
            f"{len(variants)} variants take {size:,} bytes with their recipes, and KFP passes {_MOST_BYTES:,}; "
            "compare fewer, or say how they differ in their settings"
        )
    return variants


def on_this_machine(variants: list[Variant], parameters: Parameters) -> list[Variant]:
    """The same with paths made absolute; see `Parameters.on_this_machine`."""
    return _each(variants, lambda asked: asked.on_this_machine(), parameters)


def check_for_pods(variants: list[Variant], parameters: Parameters, mounted: Sequence[str]) -> None:
    """Refuses weights that are a path of this machine, where pods read; see `Parameters.check_for_pods`."""

    def checked(asked: Parameters) -> Parameters:
        asked.check_for_pods(mounted)
        return asked

    _each(variants, checked, parameters)


def comparison_parameters(variants: list[Variant], parameters: Parameters) -> dict[str, Any]:
    """The parameters of the pipeline `compare_methods`."""
    return parameters.model_dump(include=set(DATA)) | {"variants": [each.model_dump() for each in variants]}


def _checked(asked: Parameters) -> Parameters:
    asked.check()
    return asked.with_recipe_inside()


def _each(
    variants: list[Variant], change: Callable[[Parameters], Parameters], parameters: Parameters
) -> list[Variant]:
    """Does to the training of each variant what parameters know how to do."""
    changed = []
    for variant in variants:
        own = {name: getattr(variant, name) for name in TRAINING}
        try:
            asked = change(parameters.model_copy(update=own))
        except HeadstartError as error:
            raise HeadstartError(f"variant {variant.name!r}: {error}") from None
        changed.append(variant.model_copy(update={name: getattr(asked, name) for name in TRAINING}))
    return changed


def _from_file(path: str, parameters: Parameters) -> list[Variant]:
    what = f"variants {path!r}"
    variants = read_variants(parse_yaml(read_user_text(path, what, pipes=True), what), what)
    shared = {name: getattr(parameters, name) for name in TRAINING}
    merged = []
    for variant in variants:
        own = {name: getattr(variant, name) for name in variant.model_fields_set}
        settings = parameters.settings | variant.settings
        merged.append(Variant(**(shared | own | {"name": variant.name, "settings": settings})))
    return merged


def _crossed(choices: Choices, parameters: Parameters) -> list[Variant]:
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
            # It stands on no backbone: once is enough.
            if backbone != backbones[0]:
                continue
        elif len(backbones) > 1:
            parts.append(backbone)
        if len(methods) > 1 or not parts:
            parts.append(method)
        shared = {name: getattr(parameters, name) for name in TRAINING}
        own = {"name": "-".join(parts), "method": method, "recipe": recipe, "backbone": backbone}
        variants.append(Variant.model_validate(shared | own))
    check_variant_names([each.name for each in variants])
    return variants
