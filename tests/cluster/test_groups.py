"""Groups that the user names, on a cluster: the rule reaches the pods, and the figures say what it gave."""

import json
import re
from pathlib import Path

from support.cluster import QUICK_HEAD, Cluster
from support.objects import save


def test_patients_are_kept_whole_and_counted(cluster: Cluster, data: str, tmp_path: Path) -> None:
    # The last digit of a file's number: both classes have images of each of these patients.
    groups = ("--group-from", r"(?P<patient>\d)\.jpg$")
    run = cluster.run("submit", *QUICK_HEAD, "--method", "head", *groups, "--wait", "--data", data)
    assert run.status == 0, run.shown
    assert re.search(r"On \d+ test images of \d patients?", run.shown), run.shown
    evaluation = save(cluster.artifact(run.run_id, "evaluate-model", "evaluation"), tmp_path / "evaluation")
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["grouping"] == "patient" and metrics["test"]["groups"] >= 1
