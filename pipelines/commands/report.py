"""`headstart report`."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a run, or the artifact of an evaluation.", show_default=False)
    ],
) -> None:
    """Makes the report of a run again, from its evaluation alone; nothing is computed and nothing fetched."""
    from headstart.components.evaluate_model.report import render

    evaluation = folder / "evaluation" if (folder / "evaluation").is_dir() else folder
    page = folder / "report.html"
    page.write_text(render(evaluation), encoding="utf-8")
    typer.echo(page)
