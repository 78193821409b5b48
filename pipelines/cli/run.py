"""`headstart run`."""

import csv
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console

from headstart.components.core.notifications.notification import PUBLISHED, SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import find_webhook, show_host
from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.deploy import deploy_champion, prepare_deployment
from headstart.pipelines.cli.options import (
    MACHINE_PANEL,
    DeployOption,
    EndpointOption,
    FromScratch,
    MethodOption,
    WebhookOption,
    takes_parameters,
)
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import TRANSFER_LEARNING
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.local.mlflow_log import check_mlflow, log_run
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
    deploy: DeployOption = False,
    endpoint: EndpointOption = None,
    notify: WebhookOption = "",
    mlflow_tracking_uri: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="MLflow server to which the results are logged, such as http://localhost:5000.",
            show_default=False,
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = "",
    mlflow_experiment: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Experiment in MLflow; if left out, the one of MLflow's own variables, or Default.",
            show_default=False,
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = "",
) -> None:
    """Trains and evaluates a classifier on this machine, with the same pipeline as on a cluster."""
    with check_options():
        trained = check_method(method, parameters, from_scratch)
        parameters = parameters.resolve_local_paths()
        webhook = find_webhook(notify)
        check_mlflow(mlflow_experiment, mlflow_tracking_uri)
    deployment = prepare_deployment(deploy, endpoint, parameters.publish_uri)

    from headstart.pipelines.local.interruption import exit_on_interruption
    from headstart.pipelines.local.notification import notified
    from headstart.pipelines.local.preparation import prepare_training
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_results

    def describe(values: Mapping[str, Any]) -> str:
        hidden = {notify: show_host(webhook), mlflow_tracking_uri: without_secrets(mlflow_tracking_uri)}
        return command_line(values, {secret: shown for secret, shown in hidden.items() if secret})

    console = Console()
    place = expand_home(output).absolute()
    ended = Notification(SUCCEEDED, TRANSFER_LEARNING, str(place), see=str(place / "report.html"))
    with exit_on_interruption(console, output), notified(webhook, ended, parameters.model_dump(), console) as notice:
        prepared = prepare_training(parameters, output, trained, from_scratch, describe)
        if prepared.replaced:
            say(f"replacing {prepared.replaced}", console=console)
        output = prepared.request.output
        with RunDisplay(console, prepared.tasks) as display:
            metrics = run_pipeline(prepared.request, notice.forward_to(display))
            display.skip(prepared.tasks)
        notice.add_metrics(metrics)
        show_results(console, metrics, output, count_rows(output / "quarantine.csv"), display.outcome)
        if mlflow_tracking_uri:
            try:
                page = log_run(output, mlflow_tracking_uri, mlflow_experiment, notice.notification.model)
                say(f"mlflow  {page}", console=console)
            except HeadstartError as error:
                say(f"warning: {error}", console=console)
        if deployment and notice.notification.result == PUBLISHED:
            deploy_champion(parameters.publish_uri, deployment)


def command_line(values: Mapping[str, Any], hidden: Mapping[str, str] = MappingProxyType({})) -> str:
    """The command line of this process, without secrets; empty where KFP would substitute something in it.

    Args:
        values: Parameters that were made from it.
        hidden: Text to show in the place of other secrets among the options, by secret.
    """
    command = shlex.join(["headstart", *mask_secrets(sys.argv[1:], {**hidden, **find_secrets(values)})])
    return "" if "{{" in command or "$(" in command else command


def run_command(
    command: str, left_out: Collection[str], added: Sequence[str], parameters: Parameters, to: str = "run"
) -> str:
    """A command that trains with the options that a command was given, without secrets.

    Args:
        command: Name of the command that was given.
        left_out: Options of that command that are left out, each of which takes a value.
        added: Options that are added.
        parameters: Parameters that were made from the options.
        to: Name of the command that trains: ``run``, ``submit`` or ``compare``.
    """
    options = sys.argv[sys.argv.index(command) + 1 :] if command in sys.argv else []
    kept: list[str] = []
    skip = False
    for each in options:
        if not skip and each.partition("=")[0] not in left_out:
            kept.append(each)
        skip = not skip and each in left_out
    words = ["headstart", to, *kept, *added]
    return shlex.join(mask_secrets(words, find_secrets(parameters.model_dump())))


def count_rows(path: Path) -> int:
    """Number of rows of a CSV file below its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
