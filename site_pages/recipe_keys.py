"""Keys of recipes, from their models and the recipes that come with Headstart."""

from typing import Any

from pydantic import BaseModel

from headstart.components.core.recipes.recipe import DEFAULT_RECIPE, Recipe, list_recipes, load_recipe
from site_pages.markdown import blocks, code, describe, prose, table
from site_pages.values import name_type


def recipe_keys() -> str:
    """A table of the keys of the recipe, and one of each section."""
    recipes = {name: load_recipe(name, {}).model_dump() for name in [DEFAULT_RECIPE, *list_recipes()]}
    top, sections = [], []
    for name, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            values = {recipe: content[name] for recipe, content in recipes.items()}
            rows = _rows(field.annotation, values, f"{name}.")
            text = prose(describe(Recipe.__doc__).attributes[name])
            sections.append(blocks(f"### {name}", text, _table(rows, list(recipes))))
        elif name != "description":
            top += _rows(Recipe, recipes, "", only=name)
    return blocks(_table(top, list(recipes)), *sections)


def _rows(model: type[BaseModel], recipes: dict[str, dict[str, Any]], prefix: str, only: str = "") -> list[list[str]]:
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        meanings |= describe(base.__doc__).attributes if issubclass(base, BaseModel) else {}
    return [
        [
            code(prefix + name),
            *(_value(content[name]) for content in recipes.values()),
            name_type(field.annotation, field.metadata),
            prose(meanings[name]),
        ]
        for name, field in model.model_fields.items()
        if not only or name == only
    ]


def _value(value: Any) -> str:
    shown = {True: "true", False: "false", None: "null"}.get(value) if isinstance(value, bool | None) else value
    return code("''" if shown == "" else shown)


def _table(rows: list[list[str]], recipes: list[str]) -> str:
    return table(["key", *map(code, recipes), "values", "meaning"], rows)
