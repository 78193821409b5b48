"""`headstart recipes`."""

from typing import Annotated

import typer

from headstart.components.core.recipes.recipe import list_recipes, load_recipe, read_recipe_text
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.progress.console import print_table, write_text


def recipes(
    name: Annotated[str, typer.Argument(help="Recipe whose YAML to show.", show_default=False)] = "",
) -> None:
    """Lists the recipes that come with Headstart, or shows the YAML of one to start your own from."""
    if name:
        with check_options():
            text = read_recipe_text(name)
        write_text(text)
        return
    print_table(("recipe", "description"), ((each, load_recipe(each).description) for each in list_recipes()))
