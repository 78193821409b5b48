"""`headstart submit`, `headstart follow` and `headstart cancel`."""

import datetime
import functools
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import (
    FLAGS,
    FOLLOWING,
    FromScratch,
    NoCache,
    PipelineOption,
    check_pipeline,
    takes_choices,
    takes_parameters,
    takes_patience,
    takes_settings,
)
from headstart.pipelines.cluster.patience import Patience
from headstart.pipelines.cluster.settings import Settings
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import COMPARE_METHODS, TRANSFER_LEARNING
from headstart.pipelines.definitions.variant_options import DATA, DETERMINISTIC, TRAINING, Choices, variants_of

if TYPE_CHECKING:
    from headstart.pipelines.cluster.client import Cluster
    from headstart.pipelines.cluster.runs import Run

# What a run was submitted with, and keeps.
_OF_A_RUN = ("experiment", "pipeline_root", "service_account", "profile", "registry", "image")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.", show_default=False)]

EXIT_STATUSES = (
    "Exit status: 0 the run succeeded (without --wait: it was submitted); 1 a stage failed, or nothing was "
    "submitted; 2 wrong options; 3 the run was cancelled; 4 a stage did not start in time; 5 the connection was lost "
    "for good; 130 Ctrl-C. After 4, 5 and 130 the run goes on."
)


@takes_settings
@functools.partial(takes_patience, names=FOLLOWING)
@takes_choices
@functools.partial(takes_parameters, needs_data=False)
def submit(
    *,
    parameters: Parameters,
    choices: Choices,
    settings: Settings,
    patience: Patience,
    pipeline: PipelineOption = TRANSFER_LEARNING,
    from_scratch: FromScratch = False,
    no_cache: NoCache = False,
    name: Annotated[
        str, typer.Option(help="Name of the run; left out: the pipeline's, with the time.", show_default=False)
    ] = "",
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Run again what failed in this run, with its own parameters, and nothing else.",
            show_default=False,
        ),
    ] = "",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Follow the run to its end; an error of the data or the parameters ends it at the first attempt.",
        ),
    ] = False,
) -> None:
    """Runs the pipeline on Kubeflow Pipelines.

    What the stages ask of the cluster is --profile's. Listing and deleting runs is kfp's own: see `kfp run`.
    """
    console = Console()
    if resume:
        _refuse_parameters(
            parameters,
            choices,
            settings,
            pipeline=pipeline != TRANSFER_LEARNING,
            from_scratch=from_scratch,
            no_cache=no_cache,
            name=name,
        )
    check_pipeline(pipeline, from_scratch)
    if pipeline != COMPARE_METHODS and choices != Choices():
        raise HeadstartError(f"--methods, --backbones, --recipes and --variants are for --pipeline {COMPARE_METHODS}")
    others = [name for name in _given(parameters) if name not in (*DATA, *TRAINING, DETERMINISTIC)]
    if pipeline == COMPARE_METHODS and others:
        raise HeadstartError(f"--pipeline {COMPARE_METHODS} has no use for {_options(others)}; leave it out")
    from headstart.pipelines.cluster import submit as submission
    from headstart.pipelines.cluster.client import Cluster

    before = None
    if resume:
        cluster = Cluster(settings)
        before = submission.resume(cluster, resume)
        run_id = resume
    else:
        variants = variants_of(choices, parameters) if pipeline == COMPARE_METHODS else None
        order = submission.prepare(settings, parameters, from_scratch, not no_cache, variants)
        cluster = Cluster(settings)
        title = name or f"{pipeline} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S}"
        run_id = submission.submit(cluster, order, title)
    lines = [f"run     {run_id}", f"page    {cluster.link(run_id)}"]
    if not wait:
        lines.append(f"follow  headstart follow {run_id}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if wait:
        _follow(cluster, run_id, settings, console, patience, before, may_end_it=True)


@takes_settings
@functools.partial(takes_patience, names=FOLLOWING)
def follow(*, run: RunArgument, settings: Settings, patience: Patience) -> None:
    """Follows a run on Kubeflow Pipelines to its end, and shows what came of it."""
    from headstart.pipelines.cluster.client import Cluster

    cluster = Cluster(settings)
    _follow(cluster, run, settings, Console(), patience)


@takes_settings
def cancel(*, run: RunArgument, settings: Settings) -> None:
    """Ends a run that is under way on Kubeflow Pipelines; `headstart submit --resume RUN` can take it up again."""
    from headstart.pipelines.cluster.client import Cluster
    from headstart.pipelines.cluster.runs import read_run

    cluster = Cluster(settings)
    found = read_run(cluster.run(run))
    if found.ended:
        raise HeadstartError(f"run {run} has ended already ({found.state})")
    cluster.terminate(run)
    typer.echo(f"run {run} is being ended; see it end with: headstart follow {run}")


def _follow(
    cluster: "Cluster",
    run_id: str,
    settings: Settings,
    console: Console,
    patience: Patience,
    before: "Run | None" = None,
    may_end_it: bool = False,
) -> None:
    from headstart.pipelines.cluster.follow import follow as follow_run

    failed = before.stages if before else {}
    end = follow_run(cluster, run_id, console, patience, settings.namespace, failed, may_end_it)
    if end:
        raise typer.Exit(int(end))


def _refuse_parameters(parameters: Parameters, choices: Choices, settings: Settings, **others: str | bool) -> None:
    given = _given(parameters)
    given += ["variants" if name == "file" else name for name, value in vars(choices).items() if value]
    given += [name for name in _OF_A_RUN if settings.sources[name].startswith("--")]
    given += [name for name, value in others.items() if value]
    if given:
        raise HeadstartError(
            f"--resume runs with the run's own parameters; leave {_options(given)} out, or submit a new run"
        )


def _given(parameters: Parameters) -> list[str]:
    """Names of the parameters that are not as they are left out."""
    return [name for name, value in parameters if value != getattr(Parameters(), name)]


def _options(names: list[str]) -> str:
    return ", ".join(f"--{FLAGS.get(name, name).replace('_', '-')}" for name in names)
