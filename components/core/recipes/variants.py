"""Variants: ways to train on the same split, to be compared."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headstart.components.core.recipes.recipe import DEFAULT_RECIPE, Recipe, load_recipe
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import validate

Method = Literal["from_scratch", "head", "fine_tuned"]
METHODS: tuple[Method, ...] = ("from_scratch", "head", "fine_tuned")
"""A small convnet without transfer; a new head on a frozen backbone; head and top layers of the backbone."""

HEAD: Method = "head"
FINE_TUNED: Method = "fine_tuned"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def find_method(name: str) -> Method:
    """The method of a name.

    Args:
        name: One of `METHODS`.

    Raises:
        HeadstartError: If there is no such method.
    """
    found = next((method for method in METHODS if method == name), None)
    if found is None:
        raise_unknown_name("method", name, list(METHODS))
    return found


class Variant(BaseModel):
    """One way to train.

    Attributes:
        name: Name, also of folders: letters, digits, `.`, `_` and `-`.
        method: One of `METHODS`.
        recipe: Name, file or YAML of a recipe, see `load_recipe`.
        settings: Values of single keys of the recipe by their dotted names.
        backbone: Name of a backbone, or a `.keras` file or the address of one; empty: the recipe's.
        weights: Weights of the backbone; empty: the recipe's, or else the backbone's own.
        image_size: Side of the input in pixels; 0: the recipe's, or else the backbone's own.
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
        return recipe.override(backbone=self.backbone, weights=self.weights, image_size=self.image_size)


DEFAULT_VARIANTS: list[dict[str, Any]] = [{"name": method, "method": method} for method in METHODS]
"""The three methods with the default recipe."""


def read_variants(values: Any, what: str = "variants") -> list[Variant]:
    """Reads and checks variants, but not their recipes, which `Variant.load_recipe` does.

    Args:
        values: List of mappings with the fields of `Variant`.
        what: Name of the list in messages.

    Raises:
        HeadstartError: If there are fewer than two, one has an unknown key or a wrong value, or two share a name.
    """
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise HeadstartError(f"{what} must be a list of variants, such as: - {{name: small, method: head}}")
    variants = [read_variant(each, f"{what}: number {number}") for number, each in enumerate(values, 1)]
    check_variant_names([each.name for each in variants], what)
    return variants


def check_variant_names(names: Sequence[str], what: str = "variants") -> None:
    """Checks that variants can be told apart by their names, also as folders.

    Args:
        names: Names of the variants.
        what: Name of the list in messages.

    Raises:
        HeadstartError: If there are fewer than two, a name cannot be a folder's, or two differ in case only.
    """
    # With an empty list, KFP would fail without a reason in the task that collects the results of the loop.
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
        values: Fields of `Variant`.
        what: Name of the variant in messages.

    Raises:
        HeadstartError: If a key is unknown or a value is wrong.
    """
    named = f" ({values['name']})" if isinstance(values.get("name"), str) else ""
    return validate(Variant, values, f"{what}{named}")
