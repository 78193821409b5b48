"""`headstart run`."""

import csv
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.pipelines.cli.options import MACHINE_PANEL, FromScratch, MethodOption, takes_parameters
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.progress.console import say


@takes_parameters
def run(
    *,
    parameters: Parameters,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives model/, report.html, data.html, evaluation/, metrics.json, "
            "predictions.parquet, label_errors.csv, quarantine.csv, recipe.yaml, tensorboard/ and splits/.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("out"),
    method: MethodOption = FINE_TUNED,
    from_scratch: FromScratch = False,
) -> None:
    """Trains and evaluates a classifier on this machine, with the same pipeline as on a cluster."""
    with check_options():
        trained = check_method(method, parameters, from_scratch)
        parameters = parameters.resolve_local_paths()

    from headstart.pipelines.local.interruption import exit_on_interruption
    from headstart.pipelines.local.preparation import prepare_training
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_results

    console = Console()
    prepared = prepare_training(parameters, output, trained, from_scratch, command_line)
    if prepared.replaced:
        say(f"replacing {prepared.replaced}", console=console)
    output = prepared.request.output
    with exit_on_interruption(console, output), RunDisplay(console, prepared.tasks) as display:
        metrics = run_pipeline(prepared.request, display)
        display.skip(prepared.tasks)
    show_results(console, metrics, output, count_rows(output / "quarantine.csv"), display.outcome)


def command_line(values: Mapping[str, Any]) -> str:
    """The command line of this process, without secrets; empty where KFP would substitute something in it.

    Args:
        values: Parameters that were made from it.
    """
    command = shlex.join(["headstart", *mask_secrets(sys.argv[1:], find_secrets(values))])
    return "" if "{{" in command or "$(" in command else command


def run_command(command: str, left_out: Collection[str], added: Sequence[str], parameters: Parameters) -> str:
    """The command of a run with the options that another command was given, without secrets.

    Args:
        command: Name of the other command.
        left_out: Options of the other command that are left out, each of which takes a value.
        added: Options that are added.
        parameters: Parameters that were made from the options.
    """
    options = sys.argv[sys.argv.index(command) + 1 :] if command in sys.argv else []
    kept: list[str] = []
    skip = False
    for each in options:
        if not skip and each.partition("=")[0] not in left_out:
            kept.append(each)
        skip = not skip and each in left_out
    words = ["headstart", "run", *kept, *added]
    return shlex.join(mask_secrets(words, find_secrets(parameters.model_dump())))


def count_rows(path: Path) -> int:
    """Number of rows of a CSV file below its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
