"""`headstart report`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.pipelines.local.output import explain_write_errors
from headstart.pipelines.progress.console import say


def report(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a run, or the artifact of an evaluation.", show_default=False)
    ],
) -> None:
    """Makes the report of a run again, from its evaluation alone; nothing is computed and nothing downloaded."""
    from headstart.components.core.reports.links import add_links
    from headstart.components.core.storage.atomic import open_atomic
    from headstart.components.evaluate_model.step import recreate_report
    from headstart.pipelines.local.output_folder import RUN_PAGES

    evaluation = folder / "evaluation" if (folder / "evaluation").is_dir() else folder
    page = folder / "report.html"
    pages = {name: title for name, title in RUN_PAGES.items() if name == page.name or (folder / name).exists()}
    content = add_links(recreate_report(evaluation), page.name, pages).encode()
    with explain_write_errors(page, "folder", option=""), open_atomic(page) as file:
        file.write(content)
    say(page)
