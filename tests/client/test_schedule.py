"""`headstart schedule`: one schedule to a name, and no run that says RUNNING for ever."""

import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from kfp_server_api import models
from support.commands import Started, eventually
from support.kfp_api import KfpApi

Command = Callable[..., tuple[int, str]]
DATA = ("--data", "gs://bucket/pictures")
CREATE = r"POST /apis/v2beta1/recurringruns$"


@pytest.fixture
def weekly(on_cluster: Command, api: KfpApi) -> str:
    """A schedule of that name, by its id."""
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 3 * * mon", *DATA)
    assert status == 0, shown
    return next(iter(api.schedules))


def start_run(api: KfpApi, schedule_id: str, state: str = "RUNNING") -> str:
    """A run that a schedule has started."""
    schedule = api.schedules[schedule_id]
    fields = ("experiment_id", "pipeline_spec", "runtime_config")
    run = models.V2beta1Run(
        display_name=f"{schedule.display_name}-1",
        recurring_run_id=schedule_id,
        **{name: getattr(schedule, name) for name in fields},
    )
    api.add_run(run)
    run.state = state
    return str(run.run_id)


def only(api: KfpApi) -> Any:
    (schedule,) = api.schedules.values()
    return schedule


def test_a_schedule_is_made_with_all_that_was_asked(
    on_cluster: Command, api: KfpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        status, shown = on_cluster(
            "schedule",
            "weekly",
            "--cron",
            "30 3 * * mon",
            *DATA,
            "--experiment",
            "pets",
            "--pipeline-root",
            "gs://b/x",
        )
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert status == 0, shown
    made = only(api)
    assert (made.display_name, made.experiment_id) == ("weekly", api.experiments["pets"])
    # KFP takes the first of five fields for seconds.
    assert made.trigger.cron_schedule.cron == "0 30 3 * * mon"
    assert (made.no_catchup, made.max_concurrency, made.status) == (True, "1", "ENABLED")
    assert made.runtime_config.parameters["data"] == ["gs://bucket/pictures"]
    assert made.runtime_config.pipeline_root == "gs://b/x"
    times = re.findall(
        r"Mon \d{4}-\d\d-\d\d 03:30:00 UTC, (?:Sun|Mon) \d{4}-\d\d-\d\d 2[23]:30:00 E[SD]T here", shown
    )
    assert len(times) == 3
    assert "KFP reads cron in UTC, unless CRON_SCHEDULE_TIMEZONE" in shown


@pytest.mark.parametrize(
    ("cron", "message"),
    [("0 25 * * *", "cron: hour field '25': give 0 to 23"), ("0 3 * *", "has 4 fields; give five")],
)
def test_a_wrong_cron_is_refused(on_cluster: Command, api: KfpApi, cron: str, message: str) -> None:
    status, shown = on_cluster("schedule", "weekly", "--cron", cron, *DATA)
    assert status == 2
    assert message in shown
    assert not api.requests


def test_the_same_again_changes_nothing(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 3 * * mon", *DATA)
    assert status == 0
    assert "schedule weekly is unchanged" in shown
    assert list(api.schedules) == [weekly]


@pytest.mark.parametrize(
    "option", [("--seed", "2"), ("--method", "head"), ("--no-cache",), ("--pipeline-root", "gs://other/x")]
)
def test_another_replaces_the_one_of_that_name(
    on_cluster: Command, api: KfpApi, weekly: str, option: tuple[str, ...]
) -> None:
    assert on_cluster("schedule", "daily", "--cron", "@daily", *DATA)[0] == 0
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 3 * * mon", *DATA, *option)
    assert status == 0
    assert "schedule weekly is replaced" in shown
    assert api.deleted == [weekly]
    assert sorted(each.display_name for each in api.schedules.values()) == ["daily", "weekly"]


def test_inputs_of_plugins_belong_to_the_schedule(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    options = ("--cron", "0 3 * * mon", *DATA, "--plugin-input", "mlflow.experiment_name=pets")
    assert "is replaced" in on_cluster("schedule", "weekly", *options)[1]
    assert "is unchanged" in on_cluster("schedule", "weekly", *options)[1]
    assert only(api).plugins_input == {"mlflow": {"experiment_name": "pets"}}
    assert on_cluster("schedule", "weekly", "--run-now")[0] == 0
    (run,) = api.runs.values()
    assert run.plugins_input == {"mlflow": {"experiment_name": "pets"}}


def test_a_run_under_way_ends_in_peace_and_what_was_replaced_goes_later(
    on_cluster: Command, api: KfpApi, weekly: str
) -> None:
    run_id = start_run(api, weekly)
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    assert status == 0
    assert f"run {run_id} of the replaced schedule is in progress" in shown
    assert api.schedules[weekly].status == "DISABLED"
    assert len(api.schedules) == 2
    assert not api.terminated
    assert "0 0 4 * * mon" in on_cluster("schedule")[1]
    api.runs[run_id].state = "SUCCEEDED"
    on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    assert api.deleted == [weekly]
    assert only(api).trigger.cron_schedule.cron == "0 0 4 * * mon"


def test_two_of_a_name_become_one(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    later = models.V2beta1RecurringRun(**api.schedules[weekly].to_dict())
    later.recurring_run_id, later.created_at = "later", api.now()
    later.trigger = models.V2beta1Trigger(cron_schedule=models.V2beta1CronSchedule(cron="0 0 9 * * *"))
    later.runtime_config = api.schedules[weekly].runtime_config
    api.schedules["later"] = later
    on_cluster("schedule", "weekly", "--pause")
    assert list(api.schedules) == ["later"]
    assert only(api).status == "DISABLED"


def test_a_schedule_whose_replacement_fails_goes_on(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    api.spoil("400", CREATE)
    status, _ = on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    assert status == 1
    assert only(api).status == "ENABLED"


@pytest.mark.parametrize("arrived", [False, True])
def test_ctrl_c_while_it_is_replaced_leaves_one_that_starts_runs(api: KfpApi, weekly: str, arrived: bool) -> None:
    api.spoil("slow-after" if arrived else "slow", CREATE, seconds=60)
    process = Started("schedule", "weekly", "--cron", "0 4 * * mon", *DATA, "--host", api.address)
    assert eventually(lambda: len(api.calls(CREATE)) == 2, 60)
    assert api.schedules[weekly].status == "DISABLED"
    assert eventually(lambda: len(api.schedules) == 1 + arrived)
    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(20) == 130
    assert [each.status for each in api.schedules.values()] == (["DISABLED", "ENABLED"] if arrived else ["ENABLED"])


def test_a_schedule_that_cannot_be_let_go_on_is_named(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    api.spoil("400", CREATE)
    api.spoil("401", ":enable$")
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    assert status == 1
    assert "refuses this (400)" in shown
    assert "schedule 'weekly' may be paused now: resume it with headstart schedule weekly --resume" in shown


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "503"])
def test_a_schedule_is_made_once_whatever_happens_to_the_answer(on_cluster: Command, api: KfpApi, kind: str) -> None:
    api.spoil(kind, CREATE, times=1)
    status, shown = on_cluster("schedule", "weekly", "--cron", "0 3 * * mon", *DATA)
    assert status == 0, shown
    assert only(api).status == "ENABLED"


def test_pause_and_resume(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    run_id = start_run(api, weekly)
    status, shown = on_cluster("schedule", "weekly", "--pause")
    assert (status, only(api).status) == (0, "DISABLED")
    assert "paused" in on_cluster("schedule")[1]
    assert api.runs[run_id].state == "RUNNING"
    status, shown = on_cluster("schedule", "weekly", "--resume")
    assert (status, only(api).status) == (0, "ENABLED")
    assert "if it missed a time while it was paused, KFP starts one run at once" in shown


def test_a_paused_schedule_stays_paused_when_it_is_replaced(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    on_cluster("schedule", "weekly", "--pause")
    _, shown = on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    assert only(api).status == "DISABLED"
    assert "it stays paused" in shown


def test_run_now(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    status, shown = on_cluster("schedule", "weekly", "--run-now")
    assert status == 0, shown
    (run,) = api.runs.values()
    assert run.run_id in shown
    assert run.runtime_config.parameters == api.schedules[weekly].runtime_config.parameters
    assert run.pipeline_spec == api.schedules[weekly].pipeline_spec


@pytest.mark.parametrize("replaced", [False, True])
def test_run_now_beside_a_run_of_the_schedule(on_cluster: Command, api: KfpApi, weekly: str, replaced: bool) -> None:
    run_id = start_run(api, weekly)
    if replaced:
        on_cluster("schedule", "weekly", "--cron", "0 4 * * mon", *DATA)
    status, shown = on_cluster("schedule", "weekly", "--run-now")
    assert status == 1
    assert f"a run of schedule 'weekly' is in progress already; follow it with: headstart follow {run_id}" in shown
    assert len(api.runs) == 1


def test_delete_ends_its_runs_first(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    run_id = start_run(api, weekly)
    over = start_run(api, weekly, "SUCCEEDED")
    # The server says that it is being cancelled, for some looks.
    ended = []

    def end() -> None:
        ended.append(api.runs[run_id].state)
        api.runs[run_id].state = "FAILED"

    threading.Timer(0.5, end).start()
    status, shown = on_cluster("schedule", "weekly", "--delete")
    assert status == 0, shown
    assert ended == ["CANCELING"]
    assert api.terminated == [run_id]
    assert api.deleted == [weekly]
    assert f"run {run_id} was terminated" in shown
    assert over not in shown
    calls = [each.call.split("/")[-1].split(":")[-1] for each in api.calls(r"POST|DELETE")]
    assert calls[-3:] == ["disable", "terminate", weekly]


def test_a_run_that_does_not_end_keeps_its_schedule(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    run_id = start_run(api, weekly)
    status, shown = on_cluster("schedule", "weekly", "--delete", "--end-timeout", "0.2")
    assert status == 1
    assert f"run {run_id} of schedule 'weekly' does not end; the schedule is disabled" in shown
    assert only(api).status == "DISABLED"


def test_the_list(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    run_id = start_run(api, weekly, "SUCCEEDED")
    on_cluster("schedule", "daily", "--cron", "@daily", *DATA)
    status, shown = on_cluster("schedule")
    assert status == 0
    assert re.search(rf"^weekly +0 0 3 \* \* mon +\d{{4}}-\d\d-\d\d 03:00:00 +{run_id} +SUCCEEDED$", shown, re.M)
    assert re.search(r"^daily +0 0 0 \* \* \* +\d{4}-\d\d-\d\d 00:00:00 +- +- *$", shown, re.M)
    assert "daily" not in on_cluster("schedule", "weekly")[1]


def test_the_list_knows_runs_started_by_hand(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    start_run(api, weekly, "SUCCEEDED")
    assert on_cluster("schedule", "weekly", "--run-now")[0] == 0
    by_hand = list(api.runs)[-1]
    assert on_cluster("schedule", "weekly-too", "--cron", "@daily", *DATA)[0] == 0
    assert on_cluster("schedule", "weekly-too", "--run-now")[0] == 0
    shown = on_cluster("schedule", "weekly")[1]
    assert re.search(rf"^weekly .* {by_hand} +PENDING *$", shown, re.M), shown
    api.runs[by_hand].state = "SUCCEEDED"
    later = start_run(api, weekly)
    assert re.search(rf"^weekly .* {later} +RUNNING *$", on_cluster("schedule", "weekly")[1], re.M)


def test_more_schedules_than_a_page_holds(on_cluster: Command, api: KfpApi, weekly: str) -> None:
    for number in range(120):
        copy = models.V2beta1RecurringRun(**api.schedules[weekly].to_dict())
        copy.recurring_run_id, copy.display_name, copy.created_at = f"id-{number}", f"n{number}", api.now()
        copy.trigger = None
        api.schedules[copy.recurring_run_id] = copy
    shown = on_cluster("schedule")[1]
    assert all(f"n{number} " in shown for number in range(120))


@pytest.mark.parametrize(
    ("option", "message"),
    [("--pause", "no schedule 'weakly'; did you mean 'weekly'?"), ("--delete", "no schedule 'weakly'")],
)
def test_schedule_that_is_not_there_is_said(
    on_cluster: Command, api: KfpApi, weekly: str, option: str, message: str
) -> None:
    status, shown = on_cluster("schedule", "weakly", option)
    assert status == 1
    assert message in shown
    assert len(shown.strip().splitlines()) == 1
    assert only(api).status == "ENABLED"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("weekly", "--pause", "--resume"), "one thing at a time: --pause --resume"),
        (("weekly", "--pause", "--cron", "@daily"), "one thing at a time: --pause --cron"),
        (("--pause",), "--pause of which schedule? name it"),
        (("weekly", *DATA), "needs a time: add --cron"),
        (("weekly", "--cron", "@daily"), "no data: name a source with --data"),
        (("weekly", "--cron", "@daily", "--data", "./here"), "is a path of this machine"),
    ],
)
def test_what_is_wrong_is_said(
    on_cluster: Command, api: KfpApi, weekly: str, arguments: tuple[str, ...], message: str
) -> None:
    status, shown = on_cluster("schedule", *arguments)
    assert status == 2
    assert message in shown
    assert len(shown.strip().splitlines()) == 1
    assert only(api).status == "ENABLED"
