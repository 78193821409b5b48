"""`headstart recipes`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headstart.components.core.recipes.recipe import list_recipes, load_recipe, read_recipe_text


def recipes(
    name: Annotated[str, typer.Argument(help="A recipe, to show its YAML.", show_default=False)] = "",
) -> None:
    """Lists the recipes that come with Headstart, or shows the YAML of one, to make your own of it."""
    if name:
        typer.echo(read_recipe_text(name), nl=False)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("recipe")
    table.add_column("what it is")
    for each in list_recipes():
        table.add_row(each, load_recipe(each).description)
    Console().print(table)
