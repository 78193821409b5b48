"""`headstart mlflow-log`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.progress.console import say


def mlflow_log(
    run: Annotated[Path, typer.Argument(help="Output folder of a run.", show_default=False)],
    uri: Annotated[str, typer.Argument(help="Tracking server, such as http://localhost:5000.", show_default=False)],
    experiment: Annotated[
        str,
        typer.Option(
            help="Experiment in MLflow; if left out, the one of MLflow's own variables, or Default.",
            metavar="NAME",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Logs the results of a run on this machine to MLflow, unless they have been logged before."""
    from headstart.pipelines.local.mlflow_log import check_mlflow, log_run

    with check_options():
        check_mlflow(experiment, uri)
    say(log_run(expand_home(run).absolute(), uri, experiment))
