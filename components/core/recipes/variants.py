"""Variants: ways to train on one split, to be laid side by side."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headstart.components.core.recipes.recipe import DEFAULT_RECIPE, Recipe, load_recipe
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.user_files import validate

Method = Literal["from_scratch", "head", "fine_tuned"]
METHODS: tuple[Method, ...] = ("from_scratch", "head", "fine_tuned")
"""A small convnet without transfer; a new head on a frozen backbone; the backbone's top layers trained as well."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Variant(BaseModel):
    """One way to train.

    Attributes:
        name: What it is called: letters, digits, `.`, `_` and `-`, as folders are called by it.
        method: One of `METHODS`.
        recipe: What `load_recipe` takes.
        settings: Values of single keys of it, by their dotted names.
        backbone: Name of a backbone; empty: the recipe's.
        weights: Its weights; empty: the recipe's, or else its own.
        image_size: Side in pixels; 0: the recipe's, or else the backbone's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    method: Method = "fine_tuned"
    recipe: str = DEFAULT_RECIPE
    settings: dict[str, Any] = {}
    backbone: str = ""
    weights: str = ""
    image_size: Annotated[int, Field(ge=0)] = 0

    def load_recipe(self) -> Recipe:
        """Reads and checks the recipe to train by.

        Raises:
            HeadstartError: If there is no such recipe, or a key or a value is wrong; the message names the variant.
        """
        try:
            recipe = load_recipe(self.recipe, self.settings)
        except HeadstartError as error:
            raise HeadstartError(f"variant {self.name!r}: {error}") from None
        return recipe.changed(backbone=self.backbone, weights=self.weights, image_size=self.image_size)


DEFAULT_VARIANTS: list[dict[str, Any]] = [{"name": method, "method": method} for method in METHODS]
"""The three methods by the default recipe."""


def read_variants(values: Any, what: str = "variants") -> list[Variant]:
    """Reads and checks variants; their recipes are left to `Variant.load_recipe`.

    Args:
        values: A list of mappings with the fields of `Variant`.
        what: Names them in messages.

    Raises:
        HeadstartError: There are fewer than two, one has an unknown key or a wrong value, or two have one name.
    """
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise HeadstartError(f"{what} must be a list of variants, such as: - {{name: small, method: head}}")
    variants = [read_variant(each, f"{what}: number {number}") for number, each in enumerate(values, 1)]
    check_names([each.name for each in variants], what)
    return variants


def check_names(names: Sequence[str], what: str = "variants") -> None:
    """Refuses names that cannot stand beside one another.

    Args:
        names: Of variants.
        what: Names them in messages.

    Raises:
        HeadstartError: There are fewer than two, or one cannot be a folder's, or two are the same but for case.
    """
    # KFP fails, without a reason, whoever collects from a loop over nothing.
    if len(names) < 2:
        raise HeadstartError(f"{what}: there {'is' if names else 'are'} {len(names) or 'none'}; comparing takes two")
    for name in names:
        if not _NAME.fullmatch(name):
            raise HeadstartError(
                f"{what}: the name {name!r} is not made of at most 63 letters, digits, '.', '_' and '-', a letter or "
                "digit first; rename it"
            )
    known: set[str] = set()
    for name in names:
        if name.lower() in known:
            raise HeadstartError(f"{what}: two are called {name!r}; give each a name of its own")
        known.add(name.lower())


def read_variant(values: dict[str, Any], what: str = "the variant") -> Variant:
    """Reads and checks one variant.

    Args:
        values: The fields of `Variant`.
        what: Names it in messages.

    Raises:
        HeadstartError: It has an unknown key or a wrong value.
    """
    named = f" ({values['name']})" if isinstance(values.get("name"), str) else ""
    return validate(Variant, values, f"{what}{named}")
