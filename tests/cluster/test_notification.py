"""The end of a run is notified by the exit handler, with an address that only a Secret has."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cluster import Cluster
from support.objects import Objects
from support.webhooks import SECRET

LISTEN = """
import http.server
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8080), Hook).serve_forever()
"""


class Hook:
    """A pod that listens, and the Secret with its address."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self.name = cluster, name

    def received(self, run: str) -> list[dict[str, Any]]:
        """What was said of a run."""
        lines = self._cluster.kubectl("logs", self.name).splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{")]
        return [each["headstart"] for each in said if each["headstart"]["run"] == run]


@pytest.fixture(scope="module")
def hook(cluster: Cluster) -> Iterator[Hook]:
    name = f"headstart-tests-{uuid.uuid4().hex[:8]}"
    quiet = ("--restart=Never", "--image-pull-policy=IfNotPresent", f"--image={cluster.image}")
    cluster.kubectl("run", name, *quiet, "--command", "--", "python3", "-c", LISTEN)
    try:
        cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=100s")
        address = cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}").strip()
        url = f"http://{address}:8080/services/{SECRET}"
        cluster.kubectl("create", "secret", "generic", name, f"--from-literal=url={url}")
        yield Hook(cluster, name)
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", f"pod/{name}", f"secret/{name}")


def reason(cluster: Cluster, objects: Objects, run: str) -> str:
    """Reasons of the gate, as they lie in the store."""
    below = objects.below(f"{cluster.root.rstrip('/')}/transfer-learning/{run}/compare-models")
    (decision,) = [json.loads(content) for name, content in below.items() if name.endswith("/decision")]
    return "; ".join(decision["reasons"])


def test_each_end_is_told_and_the_address_is_nowhere(
    cluster: Cluster, objects: Objects, data: str, hook: Hook, tmp_path: Path
) -> None:
    models = f"{data.rpartition('/')[0]}/notified"
    options = ("--notify", hook.name, "--publish", models, "--min-accuracy", "0", "--wait")
    first = cluster.submit("--seed", "31", *options, data=data)
    assert first.status == 0, first.shown
    assert "notify-result done" in first.shown
    (said,) = hook.received(first.run_id)
    assert (said["result"], said["pipeline"]) == ("published", "transfer-learning")
    assert said["model"].startswith(models)
    assert 0 < said["accuracy"] <= 1
    assert (said["verdict"], said["reason"]) == ("better", reason(cluster, objects, first.run_id))
    # The same again cannot be better than itself.
    again = cluster.submit("--seed", "31", *options, data=data)
    assert again.status == 0, again.shown
    (said,) = hook.received(again.run_id)
    assert (said["result"], said["verdict"]) == ("refused", "cannot tell")
    in_use = json.loads(objects.below(models)["champion.json"])["version"]
    assert said["reason"] == f"the gate refused it: {reason(cluster, objects, again.run_id)}; {in_use} stays in use"
    assert said["images"] > 0 and said["accuracy_interval"][0] <= said["accuracy"] <= said["accuracy_interval"][1]
    for run in (first.run_id, again.run_id):
        below = objects.below(f"{cluster.root.rstrip('/')}/transfer-learning/{run}")
        (written,) = [json.loads(content) for name, content in below.items() if name.endswith("/notification")]
        assert [written["headstart"]] == hook.received(run)
        assert not any(SECRET.encode() in content for content in below.values())
        assert SECRET not in cluster.kubectl("get", "workflows", "-l", f"pipeline/runid={run}", "-o", "json")


def test_a_failure_is_told(cluster: Cluster, objects: Objects, data: str, hook: Hook) -> None:
    profile = yaml.safe_load((cluster.folder / "profile.yaml").read_text())
    profile |= {"retries": {"count": 0}, "notify": hook.name}
    (cluster.folder / "notifying.yaml").write_text(yaml.safe_dump(profile))
    nowhere = objects.put("here.h5", b"").removesuffix("here.h5") + "nowhere.weights.h5"
    run = cluster.submit("--profile", "notifying.yaml", "--weights", nowhere, data=data).run_id
    failed = cluster.run("follow", run)
    assert failed.status == 1, failed.shown
    assert "list-data failed: " in failed.shown
    cluster.wait_for("the failure is told", lambda: hook.received(run), 120)
    assert [said["result"] for said in hook.received(run)] == ["failed"]


def test_a_missing_secret_holds_nothing_up(cluster: Cluster, data: str) -> None:
    done = cluster.submit("--seed", "31", "--notify", "no-such-secret", "--wait", data=data)
    assert done.status == 0, done.shown
    assert "notify-result done" in done.shown
