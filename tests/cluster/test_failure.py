"""Runs that do not go well: each ends as it should, says why, and can be taken up again."""

import re
import time
from pathlib import Path

import yaml
from support.cluster import Cluster
from support.objects import Objects, save

from headstart.components.core.model import read_model_info

KILL_AFTER_SECONDS = 12
WEIGHTS = Path(__file__).parents[2] / "components" / "core" / "network" / "pretrained" / "sketchnet.weights.h5"


def test_a_pod_that_is_killed_is_tried_again(cluster: Cluster, data: str, tmp_path: Path) -> None:
    # End to end, and long enough to be killed at work.
    work = ("--set", "head.augmented_views=0", "--set", "head.epochs=60", "--set", "head.patience=0")
    run = cluster.submit("--seed", "21", *work, data=data).run_id

    def at_work() -> str:
        pod = cluster.pod_of(run, "train-head")
        name = pod["metadata"]["name"] if pod else ""
        return name if name and "event=progress" in cluster.kubectl("logs", name, "-c", "main") else ""

    cluster.wait_for("train-head is at work", at_work)
    # Argo answers the end of a pod that has just started with a new one of the same name.
    time.sleep(KILL_AFTER_SECONDS)
    pod = cluster.pod_of(run, "train-head")
    assert pod, "its work was done too soon"
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=1", "--wait=false")
    followed = cluster.run("follow", run)
    assert followed.status == 0, followed.shown
    assert re.search(r"train-head attempt 1 of 3 failed: .*(killed|exit code|SIGTERM|143|137)", followed.shown)
    attempts = {
        each["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
        for each in cluster.pods(run)
        if ".train-head.executor" in each["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
    }
    assert any("executor(1)" in name for name in attempts), attempts
    model = save(cluster.artifact(run, "train-head", "model"), tmp_path / "model")
    assert read_model_info(model).stage == "head"


def test_a_failed_stage_is_named_and_resumed_when_the_cause_is_gone(
    cluster: Cluster, objects: Objects, data: str
) -> None:
    weights = objects.put("gone.h5", b"").removesuffix("gone.h5") + "later.weights.h5"
    failed = cluster.submit("--seed", "22", "--weights", weights, "--wait", data=data)
    assert failed.status == 1, failed.shown
    assert "train-head" in failed.shown
    assert re.search(r"cannot download weights: .*there is no such object", failed.shown), failed.shown
    assert f"headstart submit --resume {failed.run_id}" in failed.shown
    split = cluster.objects.below(cluster.output(failed.run_id, "split-dataset"))
    objects.put("later.weights.h5", WEIGHTS.read_bytes())
    resumed = cluster.run("submit", "--resume", failed.run_id, "--wait")
    assert resumed.status == 0, resumed.shown
    assert resumed.run_id == failed.run_id
    # What had succeeded did not run again.
    assert cluster.objects.below(cluster.output(failed.run_id, "split-dataset")) == split


def test_a_stage_that_cannot_start_is_told_with_what_it_asks_for(cluster: Cluster, data: str) -> None:
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
