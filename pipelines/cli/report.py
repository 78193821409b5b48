"""`headstart report`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.pipelines.local.output import written


def report(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a run, or the artifact of an evaluation.", show_default=False)
    ],
) -> None:
    """Makes the report of a run again, from its evaluation alone; nothing is computed and nothing fetched."""
    from headstart.components.core.storage.files import whole_file
    from headstart.components.evaluate_model.report import render

    evaluation = folder / "evaluation" if (folder / "evaluation").is_dir() else folder
    page = folder / "report.html"
    try:
        content = render(evaluation).encode()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What the page is made of is this folder alone, and somebody else may have written it.
        raise HeadstartError(
            f"{evaluation} is damaged ({type(error).__name__}: {first_line(error)}); evaluate the model again"
        ) from None
    with written(page, "folder", option=""), whole_file(page) as file:
        file.write(content)
    typer.echo(page)
