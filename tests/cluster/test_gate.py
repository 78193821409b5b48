"""The gate on a cluster: each branch of `dsl.If` is told by what it leaves behind."""

from pathlib import Path

import pytest
from support.cluster import Cluster
from support.gate import gated, predictions
from support.objects import Objects

from headstart.components.core.artifacts.predictions import write_predictions


@pytest.mark.parametrize(
    ("champion_wrong", "left"), [(40, "published True"), (2, "kept True"), (None, "refused True")]
)
def test_branches(champion_wrong: int | None, left: str, cluster: Cluster, objects: Objects, tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", predictions(3))
    if champion_wrong is not None:
        write_predictions(tmp_path / "champion.parquet", predictions(champion_wrong))
    for file in tmp_path.iterdir():
        address = objects.put(f"evaluation-{champion_wrong}/{file.name}", file.read_bytes())
    # Only an address of the pipeline root's own kind can be imported.
    folder = f"{cluster.root.partition('://')[0]}://{address.partition('://')[2].rpartition('/')[0]}"
    floor = 0.0 if champion_wrong is not None else 1.0
    run = cluster.start(gated(cluster.image), {"folder": folder, "min_accuracy": floor})
    cluster.wait_for("the run has ended", lambda: cluster.state(run) in ("SUCCEEDED", "FAILED"), 300)
    assert cluster.state(run) == "SUCCEEDED"
    below = objects.below(f"{cluster.root.rstrip('/')}/gated/{run}")
    assert [data.decode() for key, data in below.items() if key.endswith("/trace")] == [left]
