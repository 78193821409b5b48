"""`headstart sample`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.pipelines.local.output import written


def sample(
    folder: Annotated[Path, typer.Argument(help="Where to draw it.", show_default=False)],
    per_class: Annotated[int, typer.Option(help="Pictures of each class.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.", min=0)] = 0,
) -> None:
    """Draws a sample: cat and dog faces, with a few broken files among them."""
    from headstart.pipelines.sample.folder import draw_sample

    with written(folder, "folder", option=""):
        draw_sample(folder, per_class, seed)
    typer.echo(folder)
