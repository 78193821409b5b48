"""Models behind endpoints: deployed with the rights of the example alone, replaced under load, and put back."""

import base64
import collections
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT
from support.cluster import Cluster, needed
from support.commands import eventually
from support.objects import Objects

from headstart.components.core.registry.registry import read_champion, roll_back
from headstart.pipelines.sample.folder import draw_sample

REGISTRY = ROOT / "tests" / "compatibility" / "artifacts" / "registry"
RIGHTS = ROOT / "examples" / "serving" / "rbac.yaml"
NAMESPACE = os.environ.get("HEADSTART_NAMESPACE", "kubeflow")
LOAD = """
import json, sys, time, urllib.request
url, body = sys.argv[1], sys.argv[2].encode()
while True:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        print(json.load(urllib.request.urlopen(request, timeout=30))["model_version"], flush=True)
    except Exception as error:
        print("failed", error, flush=True)
    time.sleep(0.05)
"""


def kubectl(*arguments: str, content: str = "") -> str:
    if not shutil.which("kubectl") or not os.environ.get("KUBECONFIG"):
        pytest.skip("endpoints are looked at with kubectl, and there is none, or KUBECONFIG is not set")
    command = ["kubectl", "-n", NAMESPACE, *arguments]
    done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Endpoint:
    """An endpoint that is deployed by an account with the rights of the example, for a registry in the store."""

    def __init__(self, name: str, uri: str, kubeconfig: Path, options: list[str]) -> None:
        self.name, self.uri = name, uri
        self._kubeconfig, self._options = kubeconfig, options

    def deploy(self, *more: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).parent / "headstart", "deploy", self.uri, *self._options, *more]
        environment = os.environ | {"KUBECONFIG": str(self._kubeconfig)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)

    def champion(self) -> str:
        found = read_champion(self.uri)
        assert found
        return found.version.version

    def change_champion(self) -> str:
        """Puts the other version in use; returns its name."""
        (other,) = {each.name for each in REGISTRY.iterdir() if each.is_dir()} - {self.champion()}
        return roll_back(self.uri, other).version.version


def make_secret(name: str) -> str:
    """A Secret with this machine's credentials for the store, and its address as pods see it."""
    store = os.environ.get("HEADSTART_TEST_STORE_ENDPOINT") or os.environ.get("AWS_ENDPOINT_URL", "")
    keys = {each: os.environ.get(each, "") for each in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    secret["stringData"] = keys | {"AWS_ENDPOINT_URL": store, "AWS_DEFAULT_REGION": "us-east-1"}
    return str(yaml.safe_dump(secret))


def delete_endpoint(name: str, more: str = "") -> None:
    kinds = f"deployment,service,hpa,pod{more}"
    kubectl("delete", kinds, "-l", f"app.kubernetes.io/instance={name}", "--ignore-not-found", "--wait=false")
    kubectl("delete", "secret", name, "--ignore-not-found")


@pytest.fixture(params=["deployment", "kserve"])
def endpoint(objects: Objects, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endpoint]:
    image = needed("HEADSTART_TEST_SERVE_IMAGE")
    kserve = request.param == "kserve"
    if kserve and "serving.kserve.io" not in kubectl("api-versions"):
        pytest.skip("the cluster has no KServe")
    name = f"pets-{uuid.uuid4().hex[:6]}"
    for file in filter(Path.is_file, REGISTRY.rglob("*")):
        uri = objects.put(f"{name}/{file.relative_to(REGISTRY)}", file.read_bytes())
    uri = uri[: uri.index(f"/{name}/")] + f"/{name}"
    rights = RIGHTS.read_text(encoding="utf-8").replace("pets", name)
    kubectl("apply", "-f", "-", content=rights + "\n---\n" + make_secret(name))
    kubeconfig = tmp_path / "kubeconfig"
    settings = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    settings["users"][0]["user"] = {"token": kubectl("create", "token", f"{name}-deployer").strip()}
    settings["contexts"][0]["context"]["namespace"] = NAMESPACE
    kubeconfig.write_text(yaml.safe_dump(settings))
    options = ["--name", name, "--image", image, "--secret", name, "--replicas", "1", "--cpu", "100m"]
    try:
        yield Endpoint(name, uri, kubeconfig, options if kserve else [*options, "--no-kserve"])
    finally:
        delete_endpoint(name, ",inferenceservice" if kserve else "")
        kubectl("delete", "-f", "-", "--ignore-not-found", content=rights)


def start_load(endpoint: Endpoint, service: str, image: str, picture: Path) -> None:
    """Starts a pod that sends one request after the other, each over a connection of its own."""
    address = kubectl("get", "service", service, "-o", "jsonpath={.spec.clusterIP}")
    body = {"instances": [{"image_bytes": {"b64": base64.b64encode(picture.read_bytes()).decode()}}]}
    url = f"http://{address}/v1/models/{endpoint.name}:predict"
    container = {"name": "load", "image": image, "command": ["python3", "-c", LOAD, url, json.dumps(body)]}
    labels = {"app.kubernetes.io/instance": endpoint.name}
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]}}
    pod["metadata"] = {"name": f"{endpoint.name}-load", "labels": labels}
    pod["spec"] |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    kubectl("apply", "-f", "-", content=json.dumps(pod))
    kubectl("wait", "--for=condition=Ready", f"pod/{endpoint.name}-load", "--timeout=120s")


def read_load(endpoint: Endpoint) -> list[str]:
    return kubectl("logs", f"{endpoint.name}-load").splitlines()


def test_champion_is_deployed_replaced_under_load_and_put_back(endpoint: Endpoint, tmp_path: Path) -> None:
    first = endpoint.champion()
    deployed = endpoint.deploy()
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert f"version {first} answers" in deployed.stdout
    service = deployed.stdout.partition("http://")[2].partition(".")[0]
    again = endpoint.deploy()
    assert f"version {first} answers already" in again.stdout, again.stdout + again.stderr

    draw_sample(tmp_path / "pictures", per_class=1, seed=3)
    picture = min((tmp_path / "pictures").glob("*.jpg"))
    start_load(endpoint, service, needed("HEADSTART_TEST_SERVE_IMAGE"), picture)
    assert eventually(lambda: first in read_load(endpoint), 120)
    second = endpoint.change_champion()
    replaced = endpoint.deploy("--canary", "50")
    assert replaced.returncode == 0, replaced.stdout + replaced.stderr
    assert f"version {second} answers in the place of {first}" in replaced.stdout
    assert eventually(lambda: read_load(endpoint)[-1] == second, 60), read_load(endpoint)[-5:]

    endpoint.change_champion()
    broken = endpoint.deploy("--image", "headstart-serve:nowhere")
    assert broken.returncode == 1
    assert f"version {first} was taken back: its pods do not start" in " ".join(broken.stderr.split())
    assert f"{second} goes on" in " ".join(broken.stderr.split())
    assert kubectl("get", "deployment", "-o", "name").count(endpoint.name) == 1, "the canary is gone"
    answers = collections.Counter(read_load(endpoint))
    print(answers)
    assert set(answers) == {first, second}
    assert eventually(lambda: read_load(endpoint)[-1] == second, 60)


def test_first_champion_is_deployed_by_the_run_that_publishes_it(cluster: Cluster, data: str) -> None:
    image, name = needed("HEADSTART_TEST_SERVE_IMAGE"), f"pets-{uuid.uuid4().hex[:6]}"
    kubectl("apply", "-f", "-", content=make_secret(name))
    models = f"{data.rpartition('/')[0]}/{name}"
    asked = ("image=" + image, f"secret={name}", "replicas=1", "cpu=100m", "kserve=false")
    options = [word for each in asked for word in ("--endpoint", each)]
    try:
        # KFP's own account may do anything in a cluster for tests; elsewhere the run has one of its own.
        run = cluster.submit("--publish", models, "--min-accuracy", "0", "--deploy", *options, "--wait", data=data)
        assert run.status == 0, run.shown
        assert "deploy-model done" in run.shown
        champion = read_champion(models)
        assert champion
        version = champion.version.version
        answers = f"answers http://{name}.{NAMESPACE}.svc/v1/models/{name}:predict by version {version}"
        assert answers in " ".join(run.shown.split()), run.shown
        service = f"/api/v1/namespaces/{NAMESPACE}/services/{name}:http/proxy"
        assert json.loads(kubectl("get", "--raw", f"{service}/v1/models/{name}"))["name"] == name
        deployment = json.loads(kubectl("get", "deployment", name, "-o", "json"))
        assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == version
        assert deployment["status"]["availableReplicas"] == 1
        assert kubectl("get", "deployment", "-o", "name").count(name) == 1, "the canary is gone"
    finally:
        delete_endpoint(name)
