"""Retraining on a schedule: a better model takes the place of the one in use, a worse one does not."""

import json
from typing import Any

import pytest
from support.cluster import Cluster
from support.objects import Objects
from support.retraining import FEW, MORE, QUICK, archive, draw

FAR = "0 0 0 1 1 *"
"""The test says when to run."""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the data are, one after the other: few, hastily labelled; more; and more under wrong labels."""
    folder = tmp_path_factory.mktemp("drawn")
    drawn = draw(folder / "pictures")
    return {
        "few": archive(drawn, folder / "few", FEW, wrong=0.5),
        "more": archive(drawn, folder / "more", MORE),
        "spoiled": archive(drawn, folder / "spoiled", MORE, wrong=1.0),
    }


def test_a_schedule_publishes_what_is_better_and_nothing_else(
    cluster: Cluster, objects: Objects, archives: dict[str, bytes]
) -> None:
    name = "headstart-tests-retraining"
    data = objects.put("retraining.zip", archives["few"])
    uri = f"{data.rpartition('/')[0]}/retrained"
    # What the first one learns from hasty labels is hardly better than a coin flip.
    gate = ("--publish", uri, "--min-accuracy", "0")
    made = cluster.schedule(name, "--cron", FAR, "--data", data, *gate, *QUICK)
    assert made.status == 0, made.shown

    def retrained() -> str:
        started = cluster.schedule(name, "--run-now")
        assert started.status == 0, started.shown
        followed = cluster.run("follow", started.run_id)
        assert followed.status == 0, followed.shown
        return followed.shown

    def in_use() -> Any:
        return json.loads(objects.below(uri)["champion.json"])

    try:
        shown = retrained()
        assert "verdict better: there is no champion" in shown
        first = in_use()
        objects.put("retraining.zip", archives["more"])
        shown = retrained()
        assert "verdict better" in shown
        second = in_use()
        assert [change["replaced"] for change in second["history"]] == ["", first["version"]]
        assert f"in use  {uri}/{second['version']}" in shown
        # The same again costs a listing; the comparison is with the model itself.
        assert "publish-model skipped" in retrained()
        objects.put("retraining.zip", archives["spoiled"])
        shown = retrained()
        assert "verdict worse" in shown
        assert "publish-model skipped" in shown
        assert in_use() == second
    finally:
        cluster.schedule(name, "--delete")
