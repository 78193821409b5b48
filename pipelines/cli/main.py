"""The command line `headstart`, with all of its commands."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from headstart import __version__
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.backbones import backbones
from headstart.pipelines.cli.choose_backbone import choose_backbone
from headstart.pipelines.cli.command_classes import Command, make_app
from headstart.pipelines.cli.compare import compare
from headstart.pipelines.cli.compile import compile_pipeline, profiles
from headstart.pipelines.cli.config import config
from headstart.pipelines.cli.deploy import EXIT_STATUSES as DEPLOY_STATUSES
from headstart.pipelines.cli.deploy import deploy
from headstart.pipelines.cli.evaluate import evaluate
from headstart.pipelines.cli.learning_rate import learning_rate
from headstart.pipelines.cli.mlflow_log import mlflow_log
from headstart.pipelines.cli.models import app as models
from headstart.pipelines.cli.options import (
    CLUSTER_PANEL,
    DATA_PANEL,
    EVALUATION_PANEL,
    PUBLISHING_PANEL,
    TRAINING_PANEL,
)
from headstart.pipelines.cli.predict import EXIT_STATUSES as PREDICT_STATUSES
from headstart.pipelines.cli.predict import predict
from headstart.pipelines.cli.publish import publish
from headstart.pipelines.cli.recipes import recipes
from headstart.pipelines.cli.report import report
from headstart.pipelines.cli.run import run
from headstart.pipelines.cli.sample import sample
from headstart.pipelines.cli.schedule import schedule
from headstart.pipelines.cli.search import search
from headstart.pipelines.cli.serve import EXIT_STATUSES as SERVE_STATUSES
from headstart.pipelines.cli.serve import serve
from headstart.pipelines.cli.submit import EXIT_STATUSES, cancel, follow, submit
from headstart.pipelines.cli.usage import EXIT_STATUS, UsageError
from headstart.pipelines.progress.console import say, say_error

app = make_app(help="Turn a small folder of labelled images into an image classifier you can trust.")


def _add(command: Callable[..., None], panel: str, name: str | None = None, epilog: str | None = None) -> None:
    """Adds a command to one of the panels of the help."""
    app.command(name=name, cls=Command, epilog=epilog, rich_help_panel=panel)(command)


_add(sample, DATA_PANEL)
_add(run, TRAINING_PANEL)
_add(compare, TRAINING_PANEL)
_add(learning_rate, TRAINING_PANEL)
_add(recipes, TRAINING_PANEL)
_add(backbones, TRAINING_PANEL)
_add(choose_backbone, TRAINING_PANEL)
_add(search, TRAINING_PANEL)
_add(report, EVALUATION_PANEL)
_add(evaluate, EVALUATION_PANEL)
_add(predict, EVALUATION_PANEL, epilog=PREDICT_STATUSES)
_add(mlflow_log, EVALUATION_PANEL)
_add(publish, PUBLISHING_PANEL)
_add(serve, PUBLISHING_PANEL, epilog=SERVE_STATUSES)
_add(deploy, PUBLISHING_PANEL, epilog=DEPLOY_STATUSES)
app.add_typer(models, name="models", rich_help_panel=PUBLISHING_PANEL)
_add(submit, CLUSTER_PANEL, epilog=EXIT_STATUSES)
_add(follow, CLUSTER_PANEL, epilog=EXIT_STATUSES)
_add(cancel, CLUSTER_PANEL)
_add(schedule, CLUSTER_PANEL)
_add(compile_pipeline, CLUSTER_PANEL, name="compile")
_add(profiles, CLUSTER_PANEL)
_add(config, CLUSTER_PANEL)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"headstart {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Has the options of the command line itself."""


def main() -> None:
    """Runs the command line; an error that the user can fix becomes one line.

    The exit status is 2 if it is in the options, and 1 otherwise.
    """
    try:
        app()
    except HeadstartError as error:
        say_error(f"error: {error}", style="red")
        sys.exit(EXIT_STATUS if isinstance(error, UsageError) else 1)
