"""Schedules by name: KFP allows many of the same name, and deleting one under way leaves a run that never ends.

Of the schedules of a name the enabled one, else the latest, is the schedule; what else there is was replaced, is
disabled, and goes as soon as no run of it is under way.
"""

import dataclasses
import datetime
import time
from collections.abc import Iterator
from typing import Any

import kfp_server_api

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.cron import Schedule
from headstart.pipelines.cluster.patience import Patience
from headstart.pipelines.cluster.submit import Order

_DEFAULT_ACCOUNTS = ("pipeline-runner", "default-editor")
_RUNS_LOOKED_THROUGH = 500
_ACTIVE = ("PENDING", "RUNNING", "PAUSED", "CANCELING")


@dataclasses.dataclass(frozen=True)
class Upserted:
    """What came of setting a schedule.

    Attributes:
        schedule_id: Of the schedule that holds now.
        paused: Whether it starts no runs.
        replaced: Whether there was one of that name before.
        unchanged: Whether it was the same already.
        lingering: Runs under way of schedules that it replaces, which they wait for.
    """

    schedule_id: str
    paused: bool
    replaced: bool
    unchanged: bool
    lingering: list[str]


def upsert(cluster: Cluster, name: str, order: Order, cron: Schedule) -> Upserted:
    """Makes a schedule, or replaces the one of that name, which stays paused if it was.

    Args:
        cluster: Where.
        name: Of the schedule.
        order: What it runs.
        cron: When.
    """
    experiment = cluster.experiment_id()
    before = _of_name(cluster, name)
    paused = bool(before) and not _enabled(before[0])
    wanted = kfp_server_api.V2beta1RecurringRun(
        display_name=name,
        experiment_id=experiment,
        max_concurrency="1",
        no_catchup=True,
        mode="DISABLE" if paused else "ENABLE",
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=cron.expression)),
        **order.fields(),
    )
    if before and _same(before[0], wanted):
        kept = before[0].recurring_run_id
        return Upserted(kept, paused, True, True, _sweep(cluster, name, kept))
    try:
        for each in before:
            cluster.disable_schedule(each.recurring_run_id)
        made = cluster.schedule(wanted)
    except BaseException as error:
        if before and not paused:
            _enable_again(cluster, name, before[0].recurring_run_id, str(error) or "interrupted")
        raise
    # Of two who do this at once, both keep the same one.
    there = _of_name(cluster, name)
    kept = there[0].recurring_run_id if there and _enabled(there[0]) else made
    return Upserted(kept, paused, bool(before), False, _sweep(cluster, name, kept))


def _enable_again(cluster: Cluster, name: str, schedule_id: str, reason: str) -> None:
    """Lets a schedule that was not replaced go on, unless what replaces it is there all the same."""
    try:
        if not any(map(_enabled, _of_name(cluster, name))):
            cluster.enable_schedule(schedule_id)
    except HeadstartError:
        raise HeadstartError(
            f"{reason}; schedule {name!r} may be paused now: let it go on with headstart schedule {name} --resume"
        ) from None


def _sweep(cluster: Cluster, name: str, kept: str) -> list[str]:
    """Deletes the schedules of a name but for the one that is kept, and for what still has a run under way.

    Returns:
        The runs that are waited for.
    """
    waiting = []
    for each in _of_name(cluster, name):
        if each.recurring_run_id == kept:
            continue
        if _enabled(each):
            cluster.disable_schedule(each.recurring_run_id)
        if active := _active_runs(cluster, each):
            waiting += active
        else:
            cluster.delete_schedule(each.recurring_run_id)
    return waiting


def pause(cluster: Cluster, name: str) -> None:
    """Keeps a schedule from starting runs; one under way goes on."""
    kept = _get(cluster, name).recurring_run_id
    cluster.disable_schedule(kept)
    _sweep(cluster, name, kept)


def resume(cluster: Cluster, name: str) -> None:
    """Lets a paused schedule start runs again."""
    kept = _get(cluster, name).recurring_run_id
    _sweep(cluster, name, kept)
    cluster.enable_schedule(kept)


def run_now(cluster: Cluster, name: str) -> tuple[str, str]:
    """Starts a run of what a schedule runs, beside its times.

    Returns:
        The run's id and name.

    Raises:
        HeadstartError: A run of the schedule is under way.
    """
    schedule = _get(cluster, name)
    if active := [run for each in _of_name(cluster, name) for run in _active_runs(cluster, each)]:
        raise HeadstartError(
            f"a run of schedule {name!r} is under way already; follow it with: headstart follow {active[0]}"
        )
    run_name = f"{name} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} by hand"
    run = kfp_server_api.V2beta1Run(
        display_name=run_name,
        description=_by_hand(name),
        experiment_id=schedule.experiment_id,
        pipeline_spec=schedule.pipeline_spec,
        pipeline_version_reference=schedule.pipeline_version_reference,
        runtime_config=schedule.runtime_config,
        service_account=schedule.service_account,
    )
    return cluster.submit(run), run_name


def delete(cluster: Cluster, name: str, patience: Patience) -> list[str]:
    """Deletes a schedule for good: first its runs under way are terminated, and have ended.

    Args:
        cluster: Where.
        name: Of the schedule.
        patience: How long its runs may take to end.

    Returns:
        The runs that were terminated.

    Raises:
        HeadstartError: There is no such schedule, or a run does not end; the schedule is disabled then.
    """
    _get(cluster, name)
    schedules = _of_name(cluster, name)
    for each in schedules:
        cluster.disable_schedule(each.recurring_run_id)
    terminated: list[str] = []
    start = time.monotonic()
    while active := [run for each in schedules for run in _active_runs(cluster, each)]:
        for run in active:
            if run not in terminated:
                cluster.terminate(run)
                terminated.append(run)
        if time.monotonic() - start > patience.end_timeout:
            raise HeadstartError(
                f"run {active[0]} of schedule {name!r} does not end; the schedule is disabled: delete it again later"
            )
        time.sleep(patience.interval)
    for each in schedules:
        cluster.delete_schedule(each.recurring_run_id)
    return terminated


def current(cluster: Cluster) -> list[Any]:
    """The schedule of each name, as `V2beta1RecurringRun`, by name."""
    by_name: dict[str, list[Any]] = {}
    for each in cluster.schedules():
        by_name.setdefault(each.display_name, []).append(each)
    return [_sorted(by_name[name])[0] for name in sorted(by_name)]


def latest_run(cluster: Cluster, schedule: Any) -> Any:
    """The latest run of a schedule, started by itself or by hand; None if there is none."""
    started = next(cluster.runs(recurring_run_id=schedule.recurring_run_id), None)
    by_hand = _by_hand(schedule.display_name)
    for count, run in enumerate(cluster.runs(experiment_id=schedule.experiment_id)):
        if count == _RUNS_LOOKED_THROUGH or (started and run.created_at <= started.created_at):
            break
        if (run.description or "").startswith(by_hand):
            return run
    return started


def _by_hand(name: str) -> str:
    """How the description begins of a run that was started by hand; KFP does not know that it is a schedule's."""
    return f"Run by hand of schedule {name}."


def cron_of(schedule: Any) -> str:
    """When a schedule starts runs, as KFP has it."""
    trigger = schedule.trigger
    if trigger and trigger.cron_schedule:
        return str(trigger.cron_schedule.cron)
    if trigger and trigger.periodic_schedule:
        return f"@every {trigger.periodic_schedule.interval_second}s"
    return ""


def is_paused(schedule: Any) -> bool:
    """Whether a schedule starts no runs."""
    return not _enabled(schedule)


def _get(cluster: Cluster, name: str) -> Any:
    found = _of_name(cluster, name)
    if not found:
        from headstart.components.core.util.did_you_mean import did_you_mean

        names = sorted({each.display_name for each in cluster.schedules()})
        hint = did_you_mean(name, names) if names else "there is none at all"
        raise HeadstartError(f"no schedule {name!r}; {hint}")
    return found[0]


def _of_name(cluster: Cluster, name: str) -> list[Any]:
    return _sorted(cluster.schedules(name))


def _sorted(schedules: list[Any]) -> list[Any]:
    return sorted(schedules, key=lambda each: (_enabled(each), each.created_at, each.recurring_run_id), reverse=True)


def _enabled(schedule: Any) -> bool:
    return str(schedule.status) == "ENABLED"


def _active_runs(cluster: Cluster, schedule: Any) -> list[str]:
    def active() -> Iterator[str]:
        for state in _ACTIVE:
            for run in cluster.runs(recurring_run_id=schedule.recurring_run_id, state=state):
                yield str(run.run_id)

    return list(active())


def _same(there: Any, wanted: Any) -> bool:
    # KFP puts in its own where none is named.
    is_default = there.service_account in (None, "", *_DEFAULT_ACCOUNTS)
    return (
        there.experiment_id == wanted.experiment_id
        and cron_of(there) == cron_of(wanted)
        and there.pipeline_spec == wanted.pipeline_spec
        and there.runtime_config.parameters == wanted.runtime_config.parameters
        and (there.runtime_config.pipeline_root or None) == wanted.runtime_config.pipeline_root
        and (there.service_account == wanted.service_account or (not wanted.service_account and is_default))
    )
