"""`headstart schedule`."""

import datetime
import functools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import (
    DeployOption,
    EndpointOption,
    FromScratch,
    MethodOption,
    NoCache,
    NotifyOption,
    PluginInputOption,
    takes_parameters,
    takes_settings,
    takes_timeouts,
)
from headstart.pipelines.cli.submit import connect
from headstart.pipelines.cli.usage import UsageError, check_options
from headstart.pipelines.cluster.cron import CronSchedule, parse_cron
from headstart.pipelines.cluster.plugin_inputs import parse_plugin_inputs
from headstart.pipelines.cluster.settings import ClusterSettings
from headstart.pipelines.cluster.timeouts import Timeouts
from headstart.pipelines.definitions.endpoint_options import parse_deployment
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.progress.console import print_table, say

if TYPE_CHECKING:
    from headstart.pipelines.cluster.client import Cluster
    from headstart.pipelines.cluster.schedules import ScheduleChange

_ACTIONS_PANEL = "Existing schedules"
_NEXT_TIMES = 3
_ZONE = (
    "KFP reads cron in UTC, unless CRON_SCHEDULE_TIMEZONE of its deployment ml-pipeline-scheduledworkflow says "
    "otherwise."
)


def _action(flag: str, meaning: str) -> Any:
    return typer.Option(flag, help=meaning, rich_help_panel=_ACTIONS_PANEL)


@takes_settings
@functools.partial(takes_timeouts, names=("interval", "end_timeout"))
@functools.partial(takes_parameters, needs_data=False, on_this_machine=False)
def schedule(
    name: Annotated[
        str, typer.Argument(help="Name of the schedule; if left out, all are listed.", show_default=False)
    ] = "",
    *,
    parameters: Parameters,
    settings: ClusterSettings,
    timeouts: Timeouts,
    cron: Annotated[
        str,
        typer.Option(
            help="Times: five fields (minute hour day-of-month month day-of-week), six with seconds in front, "
            f"@daily, @weekly, or '@every 6h'. {_ZONE}",
            metavar="TIMES",
            show_default=False,
        ),
    ] = "",
    method: MethodOption = FINE_TUNED,
    from_scratch: FromScratch = False,
    no_cache: NoCache = False,
    deploy: DeployOption = False,
    endpoint: EndpointOption = None,
    notify: NotifyOption = "",
    plugin_input: PluginInputOption = None,
    pause: Annotated[bool, _action("--pause", "Start no more runs; a run in progress continues.")] = False,
    resume: Annotated[
        bool, _action("--resume", "Start runs again; one starts at once if a time was missed.")
    ] = False,
    run_now: Annotated[bool, _action("--run-now", "Start a run now, in addition to the schedule's times.")] = False,
    delete: Annotated[
        bool, _action("--delete", "Terminate its runs, wait until they have ended, and delete it.")
    ] = False,
) -> None:
    """Runs the pipeline again and again on Kubeflow Pipelines, each time on the data of that time.

    `headstart schedule weekly --cron '0 3 * * mon' --data gs://bucket/images` makes the schedule "weekly", or
    replaces the one of that name; a run in progress will finish. There is at most one run at a time; missed times are
    not made up for. A run with the data and parameters of an earlier one costs a listing: the rest comes from the
    cache. To list or delete runs, use kfp: see `kfp run`.
    """
    actions = [
        flag
        for flag, given in (("--pause", pause), ("--resume", resume), ("--run-now", run_now), ("--delete", delete))
        if given
    ]
    if len(actions) > 1 or (actions and cron):
        raise UsageError(f"one thing at a time: {' '.join(actions + ['--cron'] * bool(cron))}")
    if (actions or cron) and not name:
        raise UsageError(f"{(actions or ['--cron'])[0]} of which schedule? name it: headstart schedule NAME …")
    others = (from_scratch, no_cache, deploy, endpoint, notify, plugin_input)
    if not cron and (parameters != Parameters() or method != FINE_TUNED or any(others)):
        raise UsageError("a schedule with these parameters needs a time: add --cron '0 3 * * mon'")
    with check_options():
        trained = check_method(method, parameters, from_scratch)
        plugins = parse_plugin_inputs(plugin_input or ())
        when = parse_cron(cron) if cron else None

    from headstart.pipelines.cluster import schedules
    from headstart.pipelines.cluster.submit import PipelineShape, prepare_submission

    if when:
        with check_options():
            deployment = parse_deployment(deploy, endpoint or (), parameters.publish_uri)
            shape = PipelineShape(from_scratch, trained, not no_cache, notify, deployment)
            submission = prepare_submission(settings, parameters, shape, plugins=plugins)
        _show_change(name, when, schedules.upsert(connect(settings), name, submission, when))
        return
    cluster = connect(settings)
    if pause:
        schedules.pause(cluster, name)
        say(f"schedule {name} is paused; a run in progress continues")
    elif resume:
        schedules.resume(cluster, name)
        say(f"schedule {name} starts runs again; if it missed a time while it was paused, KFP starts one run at once")
    elif run_now:
        run_id, title = schedules.run_now(cluster, name)
        say(f"run     {run_id} ({title})", f"page    {cluster.link(run_id)}", f"follow  headstart follow {run_id}")
    elif delete:
        terminated = schedules.delete(cluster, name, timeouts)
        say(*(f"run {run_id} was terminated" for run_id in terminated), f"schedule {name} is deleted")
    else:
        _show_all(cluster, name)


def _show_change(name: str, when: CronSchedule, change: "ScheduleChange") -> None:
    what = "is unchanged" if change.unchanged else "is replaced" if change.replaced else "is made"
    say(f"schedule {name} {what}: {when.expression} (seconds first)")
    if change.paused:
        say(f"it stays paused; it starts runs after: headstart schedule {name} --resume")
    moment: datetime.datetime | None = datetime.datetime.now(datetime.UTC)
    for number in range(_NEXT_TIMES):
        moment = when.next_after(moment) if moment else None
        if moment:
            say(f"{'next' if not number else '':<7} {_format_both(moment)}")
    say(_ZONE)
    for run_id in change.waiting_for:
        say(f"run {run_id} of the replaced schedule is in progress and will finish: headstart follow {run_id}")


def _show_all(cluster: "Cluster", name: str) -> None:
    from headstart.pipelines.cluster import schedules

    found = [each for each in schedules.list_current(cluster) if name in ("", each.display_name)]
    if not found:
        say(f"no schedule {name}" if name else "no schedules")
        return
    rows = []
    for each in found:
        expression = schedules.get_cron(each)
        latest = schedules.find_latest_run(cluster, each)
        next_time = "paused" if schedules.is_paused(each) else _next_time(expression)
        run_id, state = (latest.run_id, str(latest.state)) if latest else ("-", "-")
        rows.append((each.display_name, expression, next_time, run_id, state))
    print_table(("schedule", "cron", "next (UTC)", "latest run", "its state"), rows)
    say(_ZONE)


def _next_time(expression: str) -> str:
    try:
        moment = parse_cron(expression).next_after(datetime.datetime.now(datetime.UTC))
    except HeadstartError:
        # Made by another program, such as one with five fields, which KFP reads in its own way.
        return "?"
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "never"


def _format_both(moment: datetime.datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M:%S} UTC, {moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z} here"
