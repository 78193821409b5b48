"""`headstart sample`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.pipelines.local.output import explain_write_errors
from headstart.pipelines.progress.console import say


def sample(
    folder: Annotated[Path, typer.Argument(help="Folder to draw it in.", show_default=False)],
    per_class: Annotated[int, typer.Option(help="Images of each class.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Random seed; another one draws other images.", min=0)] = 0,
) -> None:
    """Draws a sample data set: faces of cats and dogs, with a few broken files among them."""
    from headstart.pipelines.sample.folder import draw_sample

    with explain_write_errors(folder, "folder", option=""):
        draw_sample(folder, per_class, seed)
    say(folder)
