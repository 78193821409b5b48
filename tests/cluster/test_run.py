"""The pipeline on the sample, from submission to artifacts that are read back from the store."""

import io
import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.cluster import NEVER_CACHED, QUICK_HEAD, TRAINING, Cluster, Finished
from support.drawn_images import draw_zip
from support.objects import Objects, save

from headstart.components.core.artifacts.dataset import read_dataset_info, read_rows
from headstart.components.core.artifacts.model import read_model_info
from headstart.pipelines.definitions.tasks import GROUPS


def test_sample_is_trained_and_the_command_says_what_came_of_it(finished: Finished) -> None:
    shown = finished.run.shown
    assert finished.run.status == 0, shown
    for task in TRAINING:
        assert re.search(rf"\] {task} done in", shown), shown
    # Nothing is published, so nothing decides.
    assert not re.search(r"(compare|publish)-model\w? done", shown), shown
    assert "On 20 test images" in shown
    assert re.search(r"fine-tuned.*0?\.\d+ to", shown)
    assert f"{finished.run.run_id}/evaluate-model" in shown


def test_artifacts_are_read_back_from_the_store(cluster: Cluster, finished: Finished, tmp_path: Path) -> None:
    run = finished.run.run_id
    dataset = save(cluster.artifact(run, "download-dataset", "dataset"), tmp_path / "dataset")
    assert read_dataset_info(dataset).counts == [60, 60]
    test = save(cluster.artifact(run, "split-dataset", "test"), tmp_path / "test")
    model = save(cluster.artifact(run, "fine-tune", "model"), tmp_path / "model")
    assert read_model_info(model).stage == "fine_tuning"
    network = keras.models.load_model(model / "model.keras", safe_mode=True)
    evaluation = save(cluster.artifact(run, "evaluate-model", "evaluation"), tmp_path / "evaluation")
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert f"{metrics['test']['accuracy']:.3f}" in finished.run.shown
    predicted = {row["id"]: row for row in pq.read_table(evaluation / "predictions.parquet").to_pylist()}
    for row in read_rows(test):
        pixels = np.asarray(Image.open(io.BytesIO(row.image)), np.float32)[None]
        answer = float(network.predict(pixels, verbose=0)[0, 0])
        assert abs(answer - predicted[row.id]["probability_dog"]) < 1e-4
    (report,) = cluster.artifact(run, "evaluate-model", "report").values()
    assert report.startswith(b"<!doctype html>")


def test_artifacts_are_few(cluster: Cluster, finished: Finished) -> None:
    for task in TRAINING:
        below = cluster.objects.below(cluster.output(finished.run.run_id, task))
        # A head has most: six of the model, one of them its reference features, four of the probe, two event files,
        # and KFP's own.
        assert len([name for name in below if "executor-logs" not in name]) <= 13, (task, sorted(below))


def test_unchanged_data_costs_a_listing(cluster: Cluster, finished: Finished) -> None:
    again = cluster.submit("--from-scratch", "--wait", data=finished.data)
    assert again.status == 0, again.shown
    done = re.findall(r"\] ([a-z-]+) (done|cached)", again.shown)
    ran = {task for task, how in done if how == "done"}
    assert "list-data" in ran and ran <= NEVER_CACHED, again.shown
    assert {task for task, how in done if how == "cached"} == set(TRAINING) - NEVER_CACHED
    # Its figures are those of the run that measured them.
    assert finished.run.run_id in again.shown
    assert "On 20 test images" in again.shown


def test_the_head_alone_is_trained_and_evaluated_without_a_task_that_fine_tunes(
    cluster: Cluster, finished: Finished, tmp_path: Path
) -> None:
    # Data and splits come from the cache; the head does not, as no fine-tuning follows.
    run = cluster.run("submit", *QUICK_HEAD, "--method", "head", "--wait", "--data", finished.data)
    assert run.status == 0, run.shown
    assert re.findall(r"\] ([a-z-]+) (?:done|cached)", run.shown)[-2:] == ["train-head", "evaluate-model"]
    assert "fine-tune" not in run.shown
    assert re.search(r"head alone.*0?\.\d+ to", run.shown)
    evaluation = save(cluster.artifact(run.run_id, "evaluate-model", "evaluation"), tmp_path / "evaluation")
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["stage"] == "head" and "head" not in metrics
    assert f"{metrics['test']['accuracy']:.3f}" in run.shown


@pytest.fixture(scope="module")
def first(cluster: Cluster, objects: Objects, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run on an archive that other tests change, once what it made is in the cache."""
    data = objects.put("changing.zip", draw_zip(tmp_path_factory.mktemp("drawn") / "pictures", seed=4))
    return Finished(cluster.submit("--wait", data=data), data)


def test_an_artifact_that_is_gone_behind_the_cache_says_the_way_out_and_pods_ask_for_what_the_profile_says(
    cluster: Cluster, objects: Objects, first: Finished
) -> None:
    assert first.run.status == 0, first.run.shown
    assert objects.delete(cluster.output(first.run.run_id, "split-dataset")) >= 3
    # Another setting of the head: everything before it comes from the cache.
    other_head = ("--set", "head.learning_rate=0.02")
    second = cluster.submit("--wait", *other_head, data=first.data)
    assert second.status == 1, second.shown
    assert "deleted from the store" in second.shown
    third = cluster.submit("--wait", "--no-cache", *other_head, data=first.data)
    assert third.status == 0, third.shown
    check_pods(cluster, third.run_id)


def check_pods(cluster: Cluster, run: str) -> None:
    accelerator = os.environ.get("HEADSTART_TEST_ACCELERATOR")
    seen = set()
    for pod in cluster.pods(run):
        node = re.search(
            r"\.root\.([a-z-]+)\.executor", pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
        )
        if not node:
            continue
        task = node[1]
        seen.add(task)
        (main,) = [each for each in pod["spec"]["containers"] if each["name"] == "main"]
        limits = main["resources"].get("limits", {})
        network = GROUPS[task.replace("-", "_")] == "network"
        if accelerator:
            assert limits.get(accelerator) == ("1" if task == "evaluate-model" else None), task
        security = (pod["spec"].get("securityContext") or {}) | main["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] == 1000
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["seccompProfile"]["type"] == "RuntimeDefault"
        shared = [each for each in main["volumeMounts"] if each["mountPath"] == "/dev/shm"]
        assert bool(shared) is network
        assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "headstart"
        assert pod["spec"]["activeDeadlineSeconds"] == 86400
    assert seen - {"find-champion"} == set(TRAINING) - {"train-from-scratch"}


def test_changed_data_is_seen_under_the_same_address(
    cluster: Cluster, objects: Objects, first: Finished, tmp_path: Path
) -> None:
    objects.put("changing.zip", draw_zip(tmp_path / "second", seed=3))
    second = cluster.submit("--wait", data=first.data)
    assert second.status == 0, second.shown
    assert "cached" not in second.shown
    folders = [
        save(cluster.artifact(run.run_id, "download-dataset", "dataset"), tmp_path / run.run_id)
        for run in (first.run, second)
    ]
    assert len({read_dataset_info(folder).digest for folder in folders}) == 2


def test_runs_at_the_same_time_do_not_disturb_one_another(cluster: Cluster, data: str, tmp_path: Path) -> None:
    runs = {seed: cluster.submit("--seed", str(seed), data=data).run_id for seed in (11, 12)}
    for run in runs.values():
        cluster.wait_for(f"run {run} has ended", lambda run=run: cluster.state(run) in ("SUCCEEDED", "FAILED"), 900)
    for seed, run in runs.items():
        model = save(cluster.artifact(run, "fine-tune", "model"), tmp_path / str(seed))
        assert read_model_info(model).seed == seed
