"""`headstart evaluate`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headstart.components.select_test_images.settings import REFUSE
from headstart.pipelines.cli.options import EVALUATION_PANEL, MACHINE_PANEL, takes_parameters
from headstart.pipelines.cli.run import command_line, count_rows
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.given_options import EVALUATION_PARAMETERS, check_unknown_classes
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.progress.console import say


@functools.partial(takes_parameters, names=EVALUATION_PARAMETERS)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Output folder of a run, folder of a model, published version, or place where models are published: "
            "a path, or an http(s)://, gs:// or s3:// address.",
            show_default=False,
        ),
    ],
    *,
    parameters: Parameters,
    unknown_classes: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Treatment of images of classes that the model does not know: 'refuse' or 'leave_out'.",
            rich_help_panel=EVALUATION_PANEL,
        ),
    ] = REFUSE,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives report.html, data.html, evaluation/, metrics.json, predictions.parquet, "
            "quarantine.csv and evaluated.yaml.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("evaluated"),
) -> None:
    """Evaluates a trained model on labelled images that it has not seen, on this machine.

    Images that it was trained or tuned on are left out and counted. Its own temperature and abstention thresholds are
    applied; nothing is fitted to these images.
    """
    from headstart.pipelines.local.interruption import exit_on_interruption
    from headstart.pipelines.local.preparation import prepare_evaluation
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_evaluation

    with check_options():
        check_unknown_classes(unknown_classes)
        parameters = parameters.resolve_data_paths()
    console = Console()
    prepared = prepare_evaluation(model, parameters, unknown_classes, output, command_line)
    if prepared.replaced:
        say(f"replacing {prepared.replaced}", console=console)
    output = prepared.request.output
    with exit_on_interruption(console, output), RunDisplay(console, prepared.tasks) as display:
        metrics = run_pipeline(prepared.request, display)
    show_evaluation(console, metrics, output, count_rows(output / "quarantine.csv"))
