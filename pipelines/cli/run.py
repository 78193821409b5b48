"""`headstart run`."""

import csv
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import FromScratch, takes_parameters
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import stages
from headstart.pipelines.local.masking import masked, secrets_of


@takes_parameters
def run(
    *,
    parameters: Parameters,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives model/, report.html, data.html, evaluation/, metrics.json, "
            "predictions.parquet, label_errors.csv, quarantine.csv, recipe.yaml, tensorboard/ and splits/."
        ),
    ] = Path("out"),
    from_scratch: FromScratch = False,
) -> None:
    """Trains and evaluates a classifier on this machine, with the pipeline that a cluster would run."""
    parameters = parameters.on_this_machine()

    from headstart.pipelines.local.interruption import interruption_told
    from headstart.pipelines.local.run import Request, products_of
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_results

    console = Console()
    output = expand_home(output).absolute()
    with interruption_told(console, output), RunDisplay(console, stages=len(stages(from_scratch))) as display:
        values = parameters.model_dump()
        values["command"] = given_command(values)
        request = Request(values, from_scratch, output, products_of(from_scratch))
        metrics = run_pipeline(request, display)
        display.skip(stages(from_scratch))
    show_results(console, metrics, output, rows(output / "quarantine.csv"), display.outcome)


def given_command(values: Mapping[str, Any]) -> str:
    """The command as it was given, without secrets; empty where KFP would substitute something in it.

    Args:
        values: The parameters that were made of it.
    """
    command = shlex.join(["headstart", *masked(sys.argv[1:], secrets_of(values))])
    return "" if "{{" in command or "$(" in command else command


def rows(path: Path) -> int:
    """How many rows a CSV file has below its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
