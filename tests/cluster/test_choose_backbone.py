"""A choice of a backbone on a cluster: the loop over backbones, the ranking, and the training that it leads to."""

import json
import re
import shlex
from pathlib import Path

from support.cluster import Cluster
from support.own_networks import SIZE, save_usual

BRIEFLY = ("--counts", "40,10,10", "--image-size", str(SIZE), "--set", "head.epochs=1")


def test_the_ranking_ends_with_a_training_that_finds_its_features(
    cluster: Cluster, data: str, tmp_path: Path
) -> None:
    records = f"{data.rpartition('/')[0]}/records"
    own = cluster.objects.put("own.keras", save_usual(tmp_path / "own.keras").read_bytes())
    chosen = ("--pipeline", "choose-backbone", "--backbones", f"sketchnet,{own}", "--budget", "1h")
    run = cluster.run("submit", *chosen, "--data", data, *BRIEFLY, "--record-uri", records, "--wait")
    assert run.status == 0, run.shown
    assert "on all 100 training and validation images, predicted out of fold" in run.shown
    assert "the features of a run with these options are in the cache now" in run.shown
    assert f"/choose-backbone/{run.run_id}/rank-backbones/*/report" in run.shown
    below = cluster.objects.below(f"{cluster.root.rstrip('/')}/choose-backbone/{run.run_id}/rank-backbones")
    ranking, report = (
        next(content for name, content in below.items() if name.endswith(f"/{artifact}"))
        for artifact in ("ranking", "report")
    )
    found = json.loads(ranking)
    assert {each["name"] for each in found["backbones"]} == {"sketchnet", own}
    assert all(each["seconds"] > 0 and each["images_per_second"] > 0 for each in found["backbones"])
    assert (found["images"], found["kept"]) == (100, True)
    suggested = re.search(r"^to train it +headstart (submit .*)$", run.shown, re.MULTILINE)
    assert suggested and suggested[1] in report.decode()
    kept, logged = cluster.kept_and_logged(run.run_id, "rank-backbones")
    assert kept == logged and kept
    words = shlex.split(suggested[1])
    assert words[-2:] == ["--backbone", found["chosen"]] and "--wait" in words

    trained = cluster.run(*words, "--method", "head")
    assert trained.status == 0, trained.shown
    outputs = cluster.objects.below(cluster.output(trained.run_id, "train-head"))
    log = next(content.decode() for name, content in outputs.items() if "executor-logs" in name)
    assert log.count("event=record_reused ") == 2 and "event=recorded " not in log, log
