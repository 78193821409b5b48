"""A cross-validation on a cluster: a pod for each fold, what they are combined to, and the model trained on all."""

import io
import json
import re

import pyarrow.parquet as pq
from support.cluster import Cluster

QUICK = ("--backbone", "sketchnet", "--method", "head", "--set", "head.epochs=2")


def test_folds_are_trained_in_pods_of_their_own_and_combined(cluster: Cluster, data: str) -> None:
    run = cluster.run("submit", *QUICK, "--folds", "2", "--data", data, "--wait")
    assert run.status == 0, run.shown
    assert re.search(r"On \d+ images, each predicted out of fold", run.shown), run.shown
    evaluation = cluster.artifact(run.run_id, "evaluate-model", "evaluation")
    metrics = json.loads(next(content for name, content in evaluation.items() if name.endswith("metrics.json")))
    assert metrics["cross_validation"]["folds"] == 2
    combined = cluster.artifact(run.run_id, "combine-folds", "combined")
    results = json.loads(next(content for name, content in combined.items() if name.endswith("fold_results.json")))
    assert [each["fold"] for each in results["folds"]] == [0, 1]
    assert sum(each["images"] for each in results["folds"]) == metrics["test"]["images"]
    model = cluster.artifact(run.run_id, "train-head", "model")
    record = next(content for name, content in model.items() if name.endswith("cross_validation.parquet"))
    assert set(pq.read_table(io.BytesIO(record))["fold"].to_pylist()) == {0, 1}
