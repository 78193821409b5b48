"""Schedules: made, made again under the same name, paused, run at once, and deleted with nothing left behind."""

from typing import Any

from support.cluster import ENDED, QUICK, Cluster, Finished

EVERY_MINUTE = "0 * * * * *"
FAR = "0 0 0 1 1 *"


def test_a_schedule_from_first_to_last(cluster: Cluster, data: str) -> None:
    name = "headstart-tests-weekly"
    made = cluster.schedule(name, "--cron", FAR, "--data", data, *QUICK)
    assert made.status == 0, made.shown
    (first,) = cluster.schedules(name)
    assert (first.max_concurrency, first.no_catchup, first.status) == ("1", True, "ENABLED")
    assert first.trigger.cron_schedule.cron == FAR

    again = cluster.schedule(name, "--cron", "30 2 * * 0", "--data", data, *QUICK)
    assert again.status == 0, again.shown
    (second,) = cluster.schedules(name)
    assert second.recurring_run_id != first.recurring_run_id
    assert second.trigger.cron_schedule.cron == "0 30 2 * * 0"

    assert cluster.schedule(name, "--pause").status == 0
    assert cluster.schedules(name)[0].status == "DISABLED"
    assert cluster.schedule(name, "--resume").status == 0
    assert cluster.schedules(name)[0].status == "ENABLED"

    started = cluster.schedule(name, "--run-now")
    assert started.status == 0, started.shown
    assert started.run_id in {run.run_id for run in cluster.runs()}
    assert cluster.run("follow", started.run_id).status == 0

    deleted = cluster.schedule(name, "--delete")
    assert deleted.status == 0, deleted.shown
    assert cluster.schedules(name) == []
    missing = cluster.schedule(name, "--pause")
    assert missing.status == 1
    assert name in missing.shown


def test_deleting_a_schedule_leaves_no_run_that_never_ends(cluster: Cluster, data: str) -> None:
    name = "headstart-tests-minutely"
    before = {run.run_id for run in cluster.runs()}
    assert cluster.schedule(name, "--cron", EVERY_MINUTE, "--data", data, *QUICK, "--no-cache").status == 0
    cluster.wait_for("a run has started", lambda: {run.run_id for run in cluster.runs()} - before, 150)
    deleted = cluster.schedule(name, "--delete")
    assert deleted.status == 0, deleted.shown
    assert cluster.schedules(name) == []
    states = {run.run_id: run.state for run in cluster.runs() if run.run_id not in before}
    assert all(state in ENDED for state in states.values()), states


def test_a_scheduled_run_skips_what_has_not_changed(cluster: Cluster, finished: Finished) -> None:
    name = "headstart-tests-skipping"
    before = {run.run_id for run in cluster.runs()}
    made = cluster.schedule(name, "--cron", EVERY_MINUTE, "--data", finished.data, *QUICK, "--from-scratch")
    assert made.status == 0, made.shown

    def new() -> list[Any]:
        return [run for run in cluster.runs() if run.run_id not in before and run.state == "SUCCEEDED"]

    try:
        cluster.wait_for("a scheduled run has succeeded", new, 600)
    finally:
        cluster.schedule(name, "--delete")
    followed = cluster.run("follow", new()[0].run_id)
    assert followed.status == 0
    assert "train-head cached" in followed.shown, followed.shown
