"""A comparison on a cluster: the loop over variants, what it collects, and what is said of it."""

import json
import re

from support.cluster import Cluster


def test_two_variants_side_by_side(cluster: Cluster, data: str) -> None:
    run = cluster.submit("--pipeline", "compare-methods", "--methods", "head,fine_tuned", "--wait", data=data)
    assert run.status == 0, run.shown
    assert re.search(r"head +0\.\d+", run.shown) and re.search(r"fine_tuned +0\.\d+", run.shown)
    below = cluster.objects.below(f"{cluster.root.rstrip('/')}/compare-methods/{run.run_id}/compare-variants")
    (text,) = [content for name, content in below.items() if name.endswith("/comparison")]
    table = json.loads(text)
    assert [row["name"] for row in table["rows"]] == ["head", "fine_tuned"], "collected in the order of the variants"
    assert [row["method"] for row in table["rows"]] == ["head", "fine_tuned"]
    assert all(row["seconds"] > 0 for row in table["rows"])
    kept, logged = cluster.kept_and_logged(run.run_id, "compare-variants")
    assert kept == logged and kept


def test_a_variant_that_fails_is_named(cluster: Cluster, data: str) -> None:
    wrong = ("--methods", "head,from_scratch", "--image-size", "32", "--set", "from_scratch.padding=valid")
    run = cluster.submit("--pipeline", "compare-methods", *wrong, "--wait", data=data)
    assert run.status == 1
    assert "train-variant failed: variant 'from_scratch': image size 32" in run.shown, run.shown
