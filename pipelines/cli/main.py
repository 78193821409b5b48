"""The command line `headstart`, with all of its commands."""

import sys

import typer

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.compare import compare
from headstart.pipelines.cli.compile import compile_pipeline, profiles
from headstart.pipelines.cli.config import config
from headstart.pipelines.cli.learning_rate import learning_rate
from headstart.pipelines.cli.models import app as models
from headstart.pipelines.cli.predict import EXIT_STATUSES as PREDICT_STATUSES
from headstart.pipelines.cli.predict import predict
from headstart.pipelines.cli.publish import publish
from headstart.pipelines.cli.recipes import recipes
from headstart.pipelines.cli.report import report
from headstart.pipelines.cli.run import run
from headstart.pipelines.cli.sample import sample
from headstart.pipelines.cli.schedule import schedule
from headstart.pipelines.cli.submit import EXIT_STATUSES, cancel, follow, submit
from headstart.pipelines.progress.console import say_error

app = typer.Typer(
    help="Turn a small folder of labelled images into an image classifier you can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(compare)
app.command(name="compile")(compile_pipeline)
app.command()(profiles)
app.command()(recipes)
app.command()(learning_rate)
app.command()(report)
app.command(epilog=PREDICT_STATUSES)(predict)
app.command()(publish)
app.command()(sample)
app.command()(config)
app.command(epilog=EXIT_STATUSES)(submit)
app.command(epilog=EXIT_STATUSES)(follow)
app.command()(cancel)
app.command()(schedule)
app.add_typer(models, name="models")


def main() -> None:
    """Runs the command line; an error that the user can fix becomes one line, with exit status 1."""
    try:
        app()
    except HeadstartError as error:
        say_error(f"error: {error}", style="red")
        sys.exit(1)
