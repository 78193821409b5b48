"""Schedules by name: KFP allows several of the same name, and deleting an active one leaves a run that never ends.

Among the schedules of a name, the enabled one, or else the latest, is the current schedule. The others were replaced:
they are disabled, and deleted as soon as none of their runs is in progress.
"""

import dataclasses
import datetime
import time
from collections.abc import Iterator
from typing import Any

import kfp_server_api

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.client import Cluster
from headstart.pipelines.cluster.cron import CronSchedule
from headstart.pipelines.cluster.submit import Submission
from headstart.pipelines.cluster.timeouts import Timeouts

_DEFAULT_ACCOUNTS = ("pipeline-runner", "default-editor")
_RUNS_LOOKED_THROUGH = 500
_IN_PROGRESS = ("PENDING", "RUNNING", "PAUSED", "CANCELING")


@dataclasses.dataclass(frozen=True)
class ScheduleChange:
    """Effect of setting a schedule.

    Attributes:
        schedule_id: Id of the current schedule.
        paused: Whether it starts no runs.
        replaced: Whether there was one of that name before.
        unchanged: Whether it was the same already.
        waiting_for: Ids of the runs in progress of replaced schedules, which are deleted after them.
    """

    schedule_id: str
    paused: bool
    replaced: bool
    unchanged: bool
    waiting_for: list[str]


def upsert(cluster: Cluster, name: str, submission: Submission, cron: CronSchedule) -> ScheduleChange:
    """Makes a schedule, or replaces the one of that name; a paused one stays paused.

    Args:
        cluster: KFP server.
        name: Name of the schedule.
        submission: Pipeline and parameters of its runs.
        cron: Times of its runs.
    """
    experiment = cluster.get_experiment_id()
    before = _list_by_name(cluster, name)
    paused = bool(before) and not _is_enabled(before[0])
    wanted = kfp_server_api.V2beta1RecurringRun(
        display_name=name,
        experiment_id=experiment,
        max_concurrency="1",
        no_catchup=True,
        mode="DISABLE" if paused else "ENABLE",
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=cron.expression)),
        **submission.fields(),
    )
    if before and _is_same(before[0], wanted):
        kept = before[0].recurring_run_id
        return ScheduleChange(kept, paused, True, True, _delete_replaced(cluster, name, kept))
    try:
        for each in before:
            cluster.disable_schedule(each.recurring_run_id)
        made = cluster.create_schedule(wanted)
    except BaseException as error:
        if before and not paused:
            _enable_again(cluster, name, before[0].recurring_run_id, str(error) or "interrupted")
        raise
    # If two users do this at once, both keep the same one.
    now = _list_by_name(cluster, name)
    kept = now[0].recurring_run_id if now and _is_enabled(now[0]) else made
    return ScheduleChange(kept, paused, bool(before), False, _delete_replaced(cluster, name, kept))


def _enable_again(cluster: Cluster, name: str, schedule_id: str, reason: str) -> None:
    """Enables a schedule that was not replaced, unless its replacement was made all the same."""
    try:
        if not any(map(_is_enabled, _list_by_name(cluster, name))):
            cluster.enable_schedule(schedule_id)
    except HeadstartError:
        raise HeadstartError(
            f"{reason}; schedule {name!r} may be paused now: resume it with headstart schedule {name} --resume"
        ) from None


def _delete_replaced(cluster: Cluster, name: str, kept: str) -> list[str]:
    """Deletes the schedules of a name, except the one that is kept, and those with a run in progress.

    Returns:
        Ids of the runs in progress.
    """
    waiting_for = []
    for each in _list_by_name(cluster, name):
        if each.recurring_run_id == kept:
            continue
        if _is_enabled(each):
            cluster.disable_schedule(each.recurring_run_id)
        if active := _list_active_runs(cluster, each):
            waiting_for += active
        else:
            cluster.delete_schedule(each.recurring_run_id)
    return waiting_for


def pause(cluster: Cluster, name: str) -> None:
    """Keeps a schedule from starting runs; a run in progress continues."""
    kept = _get_current(cluster, name).recurring_run_id
    cluster.disable_schedule(kept)
    _delete_replaced(cluster, name, kept)


def resume(cluster: Cluster, name: str) -> None:
    """Lets a paused schedule start runs again."""
    kept = _get_current(cluster, name).recurring_run_id
    _delete_replaced(cluster, name, kept)
    cluster.enable_schedule(kept)


def run_now(cluster: Cluster, name: str) -> tuple[str, str]:
    """Starts a run of a schedule at once, in addition to its times.

    Returns:
        Id and name of the run.

    Raises:
        HeadstartError: If a run of the schedule is in progress.
    """
    schedule = _get_current(cluster, name)
    if active := [run for each in _list_by_name(cluster, name) for run in _list_active_runs(cluster, each)]:
        raise HeadstartError(
            f"a run of schedule {name!r} is in progress already; follow it with: headstart follow {active[0]}"
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
        plugins_input=schedule.plugins_input or None,
    )
    return cluster.create_run(run), run_name


def delete(cluster: Cluster, name: str, timeouts: Timeouts) -> list[str]:
    """Deletes a schedule for good, after its runs in progress were terminated and have ended.

    Args:
        cluster: KFP server.
        name: Name of the schedule.
        timeouts: Times to wait, of which `end_timeout` is for its runs to end.

    Returns:
        Ids of the runs that were terminated.

    Raises:
        HeadstartError: If there is no such schedule, or a run does not end; the schedule is disabled then.
    """
    _get_current(cluster, name)
    schedules = _list_by_name(cluster, name)
    for each in schedules:
        cluster.disable_schedule(each.recurring_run_id)
    terminated: list[str] = []
    start = time.monotonic()
    while active := [run for each in schedules for run in _list_active_runs(cluster, each)]:
        for run in active:
            if run not in terminated:
                cluster.terminate_run(run)
                terminated.append(run)
        if time.monotonic() - start > timeouts.end_timeout:
            raise HeadstartError(
                f"run {active[0]} of schedule {name!r} does not end; the schedule is disabled: delete it again later"
            )
        time.sleep(timeouts.interval)
    for each in schedules:
        cluster.delete_schedule(each.recurring_run_id)
    return terminated


def list_current(cluster: Cluster) -> list[Any]:
    """The current schedule of each name, as `V2beta1RecurringRun`, sorted by name."""
    by_name: dict[str, list[Any]] = {}
    for each in cluster.list_schedules():
        by_name.setdefault(each.display_name, []).append(each)
    return [_sort_current_first(by_name[name])[0] for name in sorted(by_name)]


def find_latest_run(cluster: Cluster, schedule: Any) -> Any:
    """The latest run of a schedule, started by itself or by hand, as `V2beta1Run`; None if there is none."""
    started = next(cluster.list_runs(recurring_run_id=schedule.recurring_run_id), None)
    by_hand = _by_hand(schedule.display_name)
    for count, run in enumerate(cluster.list_runs(experiment_id=schedule.experiment_id)):
        if count == _RUNS_LOOKED_THROUGH or (started and run.created_at <= started.created_at):
            break
        if (run.description or "").startswith(by_hand):
            return run
    return started


def _by_hand(name: str) -> str:
    """First words of the description of a run that was started by hand; KFP does not link it to its schedule."""
    return f"Run by hand of schedule {name}."


def get_cron(schedule: Any) -> str:
    """Cron expression of a schedule, as KFP has it."""
    trigger = schedule.trigger
    if trigger and trigger.cron_schedule:
        return str(trigger.cron_schedule.cron)
    if trigger and trigger.periodic_schedule:
        return f"@every {trigger.periodic_schedule.interval_second}s"
    return ""


def is_paused(schedule: Any) -> bool:
    """Whether a schedule starts no runs."""
    return not _is_enabled(schedule)


def _get_current(cluster: Cluster, name: str) -> Any:
    found = _list_by_name(cluster, name)
    if not found:
        names = sorted({each.display_name for each in cluster.list_schedules()})
        raise HeadstartError(
            f"no schedule {name!r}; {did_you_mean(name, names) if names else 'there is none at all'}"
        )
    return found[0]


def _list_by_name(cluster: Cluster, name: str) -> list[Any]:
    return _sort_current_first(cluster.list_schedules(name))


def _sort_current_first(schedules: list[Any]) -> list[Any]:
    return sorted(
        schedules, key=lambda each: (_is_enabled(each), each.created_at, each.recurring_run_id), reverse=True
    )


def _is_enabled(schedule: Any) -> bool:
    return str(schedule.status) == "ENABLED"


def _list_active_runs(cluster: Cluster, schedule: Any) -> list[str]:
    def active() -> Iterator[str]:
        for state in _IN_PROGRESS:
            for run in cluster.list_runs(recurring_run_id=schedule.recurring_run_id, state=state):
                yield str(run.run_id)

    return list(active())


def _is_same(existing: Any, wanted: Any) -> bool:
    # Where none is named, KFP fills in its own.
    is_default = existing.service_account in (None, "", *_DEFAULT_ACCOUNTS)
    return (
        existing.experiment_id == wanted.experiment_id
        and get_cron(existing) == get_cron(wanted)
        and existing.pipeline_spec == wanted.pipeline_spec
        and existing.runtime_config.parameters == wanted.runtime_config.parameters
        and (existing.runtime_config.pipeline_root or None) == wanted.runtime_config.pipeline_root
        and (existing.plugins_input or {}) == (wanted.plugins_input or {})
        and (existing.service_account == wanted.service_account or (not wanted.service_account and is_default))
    )
