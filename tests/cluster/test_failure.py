"""Runs that do not go well: each ends as it should, says why, and can be taken up again."""

import re
import time
from pathlib import Path

import yaml
from support import ROOT
from support.cluster import Cluster
from support.objects import Objects, save

from headstart.components.core.artifacts.model import read_model_info

KILL_AFTER_SECONDS = 12
WEIGHTS = ROOT / "components" / "core" / "backbones" / "pretrained" / "sketchnet.weights.h5"
KILL = """
import os, signal
for pid in filter(str.isdecimal, os.listdir("/proc")):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        if file.read().split(b"\\0")[1:3] == [b"-m", b"kfp.dsl.executor_main"]:
            os.kill(int(pid), signal.SIGKILL)
"""


def test_a_step_that_is_killed_is_tried_again(cluster: Cluster, data: str, tmp_path: Path) -> None:
    # End to end, and long enough to be killed at work: 60 epochs are done in 12 seconds where nothing else runs.
    work = ("--set", "head.augmented_views=0", "--set", "head.epochs=300", "--set", "head.patience=0")
    run = cluster.submit("--seed", "21", *work, data=data).run_id

    def at_work() -> str:
        pod = cluster.pod_of(run, "train-head")
        name = str(pod["metadata"]["name"]) if pod else ""
        return name if name and "event=progress" in cluster.kubectl("logs", name, "-c", "main") else ""

    cluster.wait_for("train-head is at work", at_work)
    # Argo answers the end of a pod that has just started with a new one of the same name.
    time.sleep(KILL_AFTER_SECONDS)
    pod = at_work()
    assert pod, "its work was done too soon"
    # The pod itself stays: Argo does not try again what it finds gone, and a deleted pod may be gone before it looks.
    cluster.kubectl("exec", pod, "-c", "main", "--", "python3", "-c", KILL)
    followed = cluster.run("follow", run)
    assert followed.status == 0, followed.shown
    assert re.search(r"train-head attempt 1 of 3 failed: \S", followed.shown), followed.shown
    attempts = {
        each["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
        for each in cluster.pods(run)
        if ".train-head.executor" in each["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
    }
    assert any("executor(1)" in name for name in attempts), attempts
    model = save(cluster.artifact(run, "train-head", "model"), tmp_path / "model")
    assert read_model_info(model).stage == "head"


def test_a_failed_task_is_named_and_resumed_when_the_cause_is_gone(
    cluster: Cluster, objects: Objects, data: str
) -> None:
    profile = yaml.safe_load((cluster.folder / "profile.yaml").read_text())
    profile["retries"] = {"count": 0}
    (cluster.folder / "once.yaml").write_text(yaml.safe_dump(profile))
    weights = objects.put("later/sketchnet.weights.h5", WEIGHTS.read_bytes())
    run = cluster.submit("--seed", "22", "--profile", "once.yaml", "--weights", weights, data=data).run_id
    # The first task has found the weights; then they go, before they are used.
    cluster.wait_for("list-data is done", lambda: objects.below(cluster.output(run, "list-data")))
    assert objects.delete(weights.rpartition("/")[0]) == 1
    failed = cluster.run("follow", run)
    assert failed.status == 1, failed.shown
    assert re.search(r"train-head failed: cannot download weights: .*there is no such object", failed.shown)
    assert f"headstart submit --resume {run}" in failed.shown
    split = objects.below(cluster.output(run, "split-dataset"))
    objects.put("later/sketchnet.weights.h5", WEIGHTS.read_bytes())
    resumed = cluster.run("submit", "--resume", run, "--wait")
    assert resumed.status == 0, resumed.shown
    assert resumed.run_id == run
    # What had succeeded did not run again.
    assert objects.below(cluster.output(run, "split-dataset")) == split


def test_what_a_run_needs_is_looked_for_in_its_first_task(cluster: Cluster, objects: Objects, data: str) -> None:
    weights = objects.put("gone.h5", b"").removesuffix("gone.h5") + "nowhere.weights.h5"
    failed = cluster.submit("--seed", "24", "--weights", weights, "--wait", data=data)
    assert failed.status == 1, failed.shown
    assert re.search(r"list-data failed: .*there is no such object", failed.shown), failed.shown
    assert failed.seconds < 120


def test_a_task_that_cannot_start_is_told_with_what_it_asks_for(cluster: Cluster, data: str) -> None:
    profile = yaml.safe_load((cluster.folder / "profile.yaml").read_text())
    profile["stages"] = {"train_head": {"accelerator_type": "example.com/gpu", "accelerator_limit": 99}}
    (cluster.folder / "greedy.yaml").write_text(yaml.safe_dump(profile))
    waited = cluster.submit(
        "--seed",
        "23",
        "--profile",
        "greedy.yaml",
        "--wait",
        "--start-notice",
        "15",
        "--start-timeout",
        "40",
        data=data,
    )
    assert waited.status == 4, waited.shown
    assert "99 x example.com/gpu" in waited.shown
    cancelled = cluster.run("cancel", waited.run_id)
    assert cancelled.status == 0, cancelled.shown
    assert cluster.run("follow", waited.run_id).status == 3


def test_a_missing_secret_is_told(cluster: Cluster, data: str) -> None:
    (cluster.folder / "secretive.yaml").write_text(
        "secrets: [{name: no-such-secret, env: {KEY: key}}]\nnetwork: {accelerator_limit: 0}\n"
    )
    waited = cluster.submit(
        "--profile", "secretive.yaml", "--wait", "--start-notice", "10", "--start-timeout", "25", data=data
    )
    assert waited.status == 4, waited.shown
    assert "no-such-secret" in waited.shown
    cluster.run("cancel", waited.run_id)


def test_wrong_data_fail_in_one_line(cluster: Cluster, objects: Objects) -> None:
    address = objects.put("here.txt", b"").removesuffix("here.txt") + "nowhere"
    failed = cluster.submit("--wait", data=address)
    assert failed.status == 1
    assert "list-data failed: " in failed.shown and "nothing is there; check the address" in failed.shown
    # It would be the same with every attempt: there is one.
    assert "list-data attempt 1 of 3 failed" in failed.shown, failed.shown
    assert "attempt 2" not in failed.shown
    assert failed.seconds < 90
