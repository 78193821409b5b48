"""`headstart submit`, `headstart follow` and `headstart cancel`."""

import datetime
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headstart.components.core.recipes.variants import FINE_TUNED, Variant
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import (
    FOLLOWING,
    TRAINING_PANEL,
    BudgetOption,
    DeployOption,
    EndpointOption,
    FromScratch,
    MethodOption,
    NoCache,
    NotifyOption,
    PipelineOption,
    PluginInputOption,
    RoundsOption,
    VaryOption,
    check_pipeline,
    takes_choices,
    takes_parameters,
    takes_settings,
    takes_timeouts,
)
from headstart.pipelines.cli.run import run_command
from headstart.pipelines.cli.usage import UsageError, check_options, parse_duration
from headstart.pipelines.cluster.plugin_inputs import parse_plugin_inputs
from headstart.pipelines.cluster.settings import ClusterSettings
from headstart.pipelines.cluster.timeouts import Timeouts
from headstart.pipelines.definitions.backbone_options import (
    CHOICE_PARAMETERS,
    BackboneChoice,
    candidate_parameters,
)
from headstart.pipelines.definitions.endpoint_options import parse_deployment
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.parameters import OPTION_NAMES, Parameters
from headstart.pipelines.definitions.search_options import SEARCH_PARAMETERS, RecipeSearch
from headstart.pipelines.definitions.tasks import (
    CHOOSE_BACKBONE,
    COMPARE_METHODS,
    DEFAULT_ROUNDS,
    SEARCH_RECIPE,
    TRANSFER_LEARNING,
    TRIALS_PER_ROUND,
)
from headstart.pipelines.definitions.variant_options import (
    DETERMINISTIC,
    SHARED_PARAMETERS,
    VARIANT_PARAMETERS,
    VariantChoices,
    make_variants,
)
from headstart.pipelines.progress.console import say

if TYPE_CHECKING:
    from headstart.pipelines.cluster.client import Cluster
    from headstart.pipelines.cluster.runs import ClusterRun

# Settings that a submitted run keeps.
_RUN_SETTINGS = ("experiment", "pipeline_root", "service_account", "profile", "registry", "image")

_CHOOSING = ("--pipeline", "--backbones", "--budget", "--name")
"""Options of a choice of a backbone that a training does not have, or should not repeat."""

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.", show_default=False)]

EXIT_STATUSES = (
    "Exit status: 0 the run succeeded (without --wait: it was submitted); 1 a task failed, or nothing was "
    "submitted; 2 wrong options; 3 the run was cancelled; 4 a task did not start in time; 5 the connection was lost "
    "for too long; 130 Ctrl-C. After 4, 5 and 130 the run goes on."
)


@takes_settings
@functools.partial(takes_timeouts, names=FOLLOWING)
@takes_choices
@functools.partial(takes_parameters, needs_data=False, on_this_machine=False)
def submit(
    *,
    parameters: Parameters,
    choices: VariantChoices,
    settings: ClusterSettings,
    timeouts: Timeouts,
    pipeline: PipelineOption = TRANSFER_LEARNING,
    method: MethodOption = FINE_TUNED,
    from_scratch: FromScratch = False,
    no_cache: NoCache = False,
    deploy: DeployOption = False,
    endpoint: EndpointOption = None,
    notify: NotifyOption = "",
    plugin_input: PluginInputOption = None,
    budget: BudgetOption = "",
    vary: VaryOption = [],  # noqa: B006 - typer reads it
    trials: Annotated[
        str,
        typer.Option(
            help=f"Folder, or gs:// or s3:// address, of trials of {SEARCH_RECIPE}. A search with the same options "
            "goes on from there.",
            metavar="PLACE",
            show_default=False,
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = "",
    rounds: RoundsOption = DEFAULT_ROUNDS,
    trials_per_round: Annotated[
        int,
        typer.Option(
            help="Trials of a round, each in a pod of its own at the same time.",
            metavar="N",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = TRIALS_PER_ROUND,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the run; if left out, the pipeline's with the time.", metavar="NAME", show_default=False
        ),
    ] = "",
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Run again only the failed tasks of this run, with its own parameters.",
            show_default=False,
        ),
    ] = "",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Follow the run to its end; terminate it at the first error in data or parameters.",
        ),
    ] = False,
) -> None:
    """Runs the pipeline on Kubeflow Pipelines.

    The profile (--profile) has the requests of the tasks. To list or delete runs, use kfp: see `kfp run`.
    """
    search = RecipeSearch(tuple(vary), trials, rounds, trials_per_round)
    if resume:
        _refuse_parameters(
            parameters,
            choices,
            settings,
            pipeline=pipeline != TRANSFER_LEARNING,
            method=method != FINE_TUNED,
            from_scratch=from_scratch,
            no_cache=no_cache,
            budget=budget,
            **dict.fromkeys(_list_given(search), True),
            name=name,
            deploy=deploy,
            endpoint=bool(endpoint),
            notify=notify,
            plugin_input=bool(plugin_input),
        )
    check_pipeline(pipeline, from_scratch, method)
    with check_options():
        trained = check_method(method, parameters, from_scratch)
        plugins = parse_plugin_inputs(plugin_input or ())
    if pipeline != TRANSFER_LEARNING and (deploy or endpoint):
        raise UsageError(f"--deploy is for {TRANSFER_LEARNING}; {pipeline} publishes no model")
    _check_choices(pipeline, choices, parameters)
    if budget and pipeline != CHOOSE_BACKBONE:
        raise UsageError(f"--budget is for --pipeline {CHOOSE_BACKBONE}")
    if (given := _list_given(search)) and pipeline != SEARCH_RECIPE:
        raise UsageError(f"{_options(given)}: for --pipeline {SEARCH_RECIPE} alone")
    from headstart.pipelines.cluster import submit as submission

    before = None
    if resume:
        cluster = connect(settings)
        before = submission.resume(cluster, resume)
        run_id = resume
    else:
        with check_options():
            deployment = parse_deployment(deploy, endpoint or (), parameters.publish_uri)
            shape = submission.PipelineShape(from_scratch, trained, not no_cache, notify, deployment)
            compared: list[Variant] | BackboneChoice | RecipeSearch | None = None
            if pipeline == COMPARE_METHODS:
                compared = make_variants(choices, parameters)
            elif pipeline == CHOOSE_BACKBONE:
                compared = _make_backbone_choice(choices.backbones, budget, parameters)
            elif pipeline == SEARCH_RECIPE:
                search.check(parameters)
                compared = search
            prepared = submission.prepare_submission(settings, parameters, shape, compared, plugins)
        cluster = connect(settings)
        title = name or f"{pipeline} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S}"
        run_id = submission.submit(cluster, prepared, title)
    say(f"run     {run_id}", f"page    {cluster.link(run_id)}")
    if wait:
        _follow(cluster, run_id, settings, timeouts, before, may_terminate=True)
    else:
        say(f"follow  headstart follow {run_id}")


def _check_choices(pipeline: str, choices: VariantChoices, parameters: Parameters) -> None:
    """Refuses choices and parameters that a pipeline does not use."""
    if pipeline in (TRANSFER_LEARNING, SEARCH_RECIPE) and choices != VariantChoices():
        raise UsageError(f"--methods, --backbones, --recipes and --variants are for --pipeline {COMPARE_METHODS}")
    if pipeline == CHOOSE_BACKBONE and choices != VariantChoices(backbones=choices.backbones):
        raise UsageError(f"--methods, --recipes and --variants are for --pipeline {COMPARE_METHODS}")
    used = {
        COMPARE_METHODS: (*SHARED_PARAMETERS, *VARIANT_PARAMETERS, DETERMINISTIC),
        CHOOSE_BACKBONE: (*CHOICE_PARAMETERS, DETERMINISTIC),
        SEARCH_RECIPE: (*SEARCH_PARAMETERS, DETERMINISTIC),
    }
    others = [name for name in _given(parameters) if name not in used.get(pipeline, OPTION_NAMES)]
    if others:
        raise UsageError(f"--pipeline {pipeline} does not use {_options(others)}; leave it out")


def _make_backbone_choice(backbones: Sequence[str], budget: str, parameters: Parameters) -> BackboneChoice:
    candidate_parameters(backbones, parameters)
    command = run_command("submit", _CHOOSING, [], parameters, to="submit")
    # KFP would substitute something in it.
    shown = "" if "{{" in command or "$(" in command else command
    return BackboneChoice(backbones, parse_duration("--budget", budget) if budget else 0.0, shown)


@takes_settings
@functools.partial(takes_timeouts, names=FOLLOWING)
def follow(*, run: RunArgument, settings: ClusterSettings, timeouts: Timeouts) -> None:
    """Follows a run on Kubeflow Pipelines to its end, and shows its results."""
    _follow(connect(settings), run, settings, timeouts)


@takes_settings
def cancel(*, run: RunArgument, settings: ClusterSettings) -> None:
    """Terminates a run on Kubeflow Pipelines; `headstart submit --resume RUN` can continue it."""
    from headstart.pipelines.cluster.runs import read_run

    cluster = connect(settings)
    found = read_run(cluster.get_run(run))
    if found.ended:
        raise HeadstartError(f"run {run} has ended already ({found.state})")
    cluster.terminate_run(run)
    say(f"run {run} is being terminated; follow it with: headstart follow {run}")


def connect(settings: ClusterSettings) -> "Cluster":
    """Connects to KFP; a host that is no address, or a wrong timeout, is an error in the options.

    Raises:
        UsageError: If one of them is wrong.
        HeadstartError: If KFP cannot be reached, or denies access.
    """
    from headstart.pipelines.cluster.client import Cluster

    with check_options():
        settings.check_connection()
    return Cluster(settings)


def _follow(
    cluster: "Cluster",
    run_id: str,
    settings: ClusterSettings,
    timeouts: Timeouts,
    before: "ClusterRun | None" = None,
    may_terminate: bool = False,
) -> None:
    from headstart.pipelines.cluster.follow import follow as follow_run
    from headstart.pipelines.cluster.watch import FollowOptions

    options = FollowOptions(timeouts, settings.namespace, before.tasks if before else {}, may_terminate)
    if end := follow_run(cluster, run_id, Console(), options):
        raise typer.Exit(int(end))


def _refuse_parameters(
    parameters: Parameters, choices: VariantChoices, settings: ClusterSettings, **others: str | bool
) -> None:
    given = _given(parameters)
    given += ["variants" if name == "file" else name for name, value in vars(choices).items() if value]
    given += [name for name in _RUN_SETTINGS if settings.sources[name].startswith("--")]
    given += [name for name, value in others.items() if value]
    if given:
        raise UsageError(
            f"--resume runs with the run's own parameters; leave {_options(given)} out, or submit a new run"
        )


def _list_given(search: RecipeSearch) -> list[str]:
    """Names of the options of a search that differ from their defaults."""
    names = {"trials_uri": "trials"}
    changed = [name for name, value in vars(search).items() if value != getattr(RecipeSearch(), name)]
    return [names.get(name, name) for name in changed]


def _given(parameters: Parameters) -> list[str]:
    """Names of the parameters that differ from their defaults."""
    return [name for name, value in parameters if value != getattr(Parameters(), name)]


def _options(names: list[str]) -> str:
    return ", ".join(f"--{OPTION_NAMES.get(name, name.replace('_', '-'))}" for name in names)
