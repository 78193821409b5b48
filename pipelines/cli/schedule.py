"""`headstart schedule`."""

import datetime
import functools
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import (
    FromScratch,
    NoCache,
    takes_parameters,
    takes_patience,
    takes_settings,
)
from headstart.pipelines.cluster.cron import Schedule, parse_cron
from headstart.pipelines.cluster.patience import Patience
from headstart.pipelines.cluster.settings import Settings
from headstart.pipelines.definitions.parameters import Parameters

if TYPE_CHECKING:
    from headstart.pipelines.cluster.client import Cluster

_ACTIONS_PANEL = "Of a schedule that is there"
_NEXT_TIMES = 3
_ZONE = (
    "KFP reads cron in UTC, unless CRON_SCHEDULE_TIMEZONE of its deployment ml-pipeline-scheduledworkflow says "
    "otherwise."
)


def _action(flag: str, meaning: str) -> Any:
    return typer.Option(flag, help=meaning, rich_help_panel=_ACTIONS_PANEL)


@takes_settings
@functools.partial(takes_patience, names=("interval", "end_timeout"))
@functools.partial(takes_parameters, needs_data=False)
def schedule(
    name: Annotated[
        str, typer.Argument(help="The schedule; left out: lists all there are.", show_default=False)
    ] = "",
    *,
    parameters: Parameters,
    settings: Settings,
    patience: Patience,
    cron: Annotated[
        str,
        typer.Option(
            help="When to run: five fields (minute hour day-of-month month day-of-week), six with seconds in front, "
            f"@daily, @weekly, or '@every 6h'. {_ZONE}",
            show_default=False,
        ),
    ] = "",
    from_scratch: FromScratch = False,
    no_cache: NoCache = False,
    pause: Annotated[bool, _action("--pause", "Start no more runs; one under way goes on.")] = False,
    resume: Annotated[
        bool, _action("--resume", "Start runs again; one starts at once if a time was missed.")
    ] = False,
    run_now: Annotated[bool, _action("--run-now", "Start a run beside the schedule's times.")] = False,
    delete: Annotated[
        bool, _action("--delete", "Terminate its runs, wait until they have ended, and delete it.")
    ] = False,
) -> None:
    """Runs the pipeline again and again on Kubeflow Pipelines: whatever the data is by then.

    `headstart schedule weekly --cron '0 3 * * mon' --data gs://bucket/pictures` makes the schedule "weekly", or
    replaces the one of that name; a run under way ends in peace. At most one run at a time; times that were missed
    are not made up for. A run whose data and parameters are those of an earlier one costs a listing: the rest comes
    from the cache. Listing and deleting runs is kfp's own: see `kfp run`.
    """
    console = Console()
    actions = [
        flag
        for flag, given in (("--pause", pause), ("--resume", resume), ("--run-now", run_now), ("--delete", delete))
        if given
    ]
    if len(actions) > 1 or (actions and cron):
        raise HeadstartError(f"one thing at a time: {' '.join(actions + ['--cron'] * bool(cron))}")
    if (actions or cron) and not name:
        raise HeadstartError(f"{(actions or ['--cron'])[0]} of which schedule? name it: headstart schedule NAME …")
    if not cron and (parameters != Parameters() or from_scratch or no_cache):
        raise HeadstartError("a schedule with these parameters needs a time: add --cron '0 3 * * mon'")
    when = parse_cron(cron) if cron else None

    from headstart.pipelines.cluster import schedules
    from headstart.pipelines.cluster.client import Cluster
    from headstart.pipelines.cluster.submit import prepare

    if when:
        order = prepare(settings, parameters, from_scratch, not no_cache)
        _show_upserted(console, name, when, schedules.upsert(Cluster(settings), name, order, when))
        return
    cluster = Cluster(settings)
    if pause:
        schedules.pause(cluster, name)
        _say(console, f"schedule {name} is paused; a run under way goes on")
    elif resume:
        schedules.resume(cluster, name)
        _say(
            console,
            f"schedule {name} starts runs again; if it missed a time while it was paused, KFP starts one run at once",
        )
    elif run_now:
        run_id, title = schedules.run_now(cluster, name)
        _say(console, f"run     {run_id} ({title})", f"page    {cluster.link(run_id)}")
        _say(console, f"follow  headstart follow {run_id}")
    elif delete:
        terminated = schedules.delete(cluster, name, patience)
        _say(console, *(f"run {run_id} was terminated" for run_id in terminated), f"schedule {name} is deleted")
    else:
        _show_all(console, cluster, name)


def _show_upserted(console: Console, name: str, when: Schedule, done: Any) -> None:
    what = "is unchanged" if done.unchanged else "is replaced" if done.replaced else "is made"
    _say(console, f"schedule {name} {what}: {when.expression} (seconds first)")
    if done.paused:
        _say(console, f"it stays paused; it starts runs after: headstart schedule {name} --resume")
    moment: datetime.datetime | None = datetime.datetime.now(datetime.UTC)
    for number in range(_NEXT_TIMES):
        moment = when.next_after(moment) if moment else None
        if moment:
            _say(console, f"{'next' if not number else '':<7} {_both(moment)}")
    _say(console, _ZONE)
    for run_id in done.lingering:
        _say(console, f"run {run_id} of what it replaces is under way and ends in peace: headstart follow {run_id}")


def _show_all(console: Console, cluster: "Cluster", name: str) -> None:
    from headstart.pipelines.cluster import schedules

    found = [each for each in schedules.current(cluster) if name in ("", each.display_name)]
    if not found:
        _say(console, f"no schedule {name}" if name else "no schedules")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("schedule", "cron", "next (UTC)", "latest run", "its state"):
        table.add_column(title, overflow="fold")
    for each in found:
        expression = schedules.cron_of(each)
        latest = schedules.latest_run(cluster, each)
        row = (
            each.display_name,
            expression,
            "paused" if schedules.is_paused(each) else _next(expression),
            latest.run_id if latest else "-",
            str(latest.state) if latest else "-",
        )
        table.add_row(*map(escape, row))
    console.print(table)
    _say(console, _ZONE)


def _next(expression: str) -> str:
    try:
        moment = parse_cron(expression).next_after(datetime.datetime.now(datetime.UTC))
    except HeadstartError:
        # Somebody else's, such as one with five fields, which KFP reads in its own way.
        return "?"
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "never"


def _both(moment: datetime.datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M:%S} UTC, {moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z} here"


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
