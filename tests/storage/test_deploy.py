"""Deployments from this machine of models in a store, to a namespace on loopback."""

import base64
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import ROOT
from support.commands import headstart_here
from support.kubernetes_api import NAMESPACE, Answer, kubernetes_serving
from support.stores import Stored

from headstart.components.core.metrics.comparison import BETTER, WORSE
from headstart.components.core.networks.saved_model_parity import DrawnPredictions, predict_drawn_images
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.registry.registry import PUBLISHED, Champion, list_versions, read_champion, roll_back
from headstart.pipelines.local import run as local_run
from headstart.pipelines.local.run import Display, RunRequest
from headstart.pipelines.progress.events import Decided, Event, Published

ARTIFACTS = ROOT / "tests" / "compatibility" / "artifacts"
REGISTRY = ARTIFACTS / "registry"
DEPLOY = ("--deploy", "--endpoint", "replicas=3", "--endpoint", "kserve=false")


def serves(uri: str) -> Answer:
    """Answers as the published SavedModel of the version that is asked."""

    @functools.cache
    def load(version: str) -> tuple[DrawnPredictions, list[str]]:
        (of_pods,) = [each for each in list_versions(uri).versions if each.version == version]
        place, info = find_model(f"{uri}/{version}")
        return predict_drawn_images(place, of_pods, info), info.classes

    def answer(version: str, request: dict[str, Any]) -> dict[str, Any]:
        drawn, classes = load(version)
        image = base64.b64decode(request["instances"][0]["image_bytes"]["b64"])
        probabilities = drawn.probabilities[drawn.files.index(image)]
        row = {"label": classes[probabilities.index(max(probabilities))], "probabilities": probabilities}
        return {"predictions": [row], "classes": classes, "model_version": version}

    return answer


def upload_two_versions(minio: Stored) -> tuple[str, Champion, str]:
    """Uploads models; returns their address, the champion, and the name of the other version."""
    for file in filter(Path.is_file, REGISTRY.rglob("*")):
        minio.upload(f"models/pets/{file.relative_to(REGISTRY)}", file.read_bytes())
    uri = minio.uri("models/pets")
    in_use = read_champion(uri)
    assert in_use
    (other,) = {each.version for each in list_versions(uri).versions} - {in_use.version.version}
    return uri, in_use, other


@pytest.mark.slow
def test_a_rollback_deploys_the_version_it_puts_back_and_a_run_finds_out_beforehand_what_it_may_not_deploy(
    minio: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, in_use, other = upload_two_versions(minio)
    with kubernetes_serving(serves(uri), tmp_path, monkeypatch) as api:
        api.objects["deployments/pets"] = {"kind": "Deployment", "metadata": {"name": "pets"}}
        run = ("run", "--data", tmp_path, "--output", tmp_path / "out", "--publish", uri, *DEPLOY)
        for command in (run, ("models", "rollback", uri, other, *DEPLOY)):
            refused = headstart_here(*command)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "the Deployment 'pets' in namespace 'serving' was not made by headstart" in refused.stderr
        assert read_champion(uri) == in_use
        api.objects.clear()
        done = headstart_here("models", "rollback", uri, other, *DEPLOY)
        assert done.returncode == 0, done.stdout + done.stderr
        assert api.objects["deployments/pets"]["spec"]["replicas"] == 3
    address = f"http://pets.{NAMESPACE}.svc/v1/models/pets:predict"
    assert done.stdout.endswith(f"version {other} answers\n{address}\n")
    (check,) = json.loads(headstart_here("models", "show", uri).stdout)["deployments"]
    assert (check["endpoint"], check["images"], check["same_label"]) == (address, 8, 8)


def replace_run(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], *events: Event) -> None:
    """Replaces training on this machine by a change and the events of it; its results are those of a real run."""

    def run(request: RunRequest, display: Display) -> dict[str, Any]:
        change()
        for event in events:
            display.show(event)
        request.output.mkdir()
        shutil.copyfile(ARTIFACTS / "dataset" / "quarantine.csv", request.output / "quarantine.csv")
        return dict(json.loads((ARTIFACTS / "evaluation" / "metrics.json").read_text()))

    monkeypatch.setattr(local_run, "run", run)


@pytest.mark.slow
def test_a_run_deploys_the_model_that_it_has_published_and_nothing_where_the_gate_has_refused_it(
    minio: Stored, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, in_use, other = upload_two_versions(minio)
    run = ("run", "--data", pictures, "--backbone", "sketchnet", "--publish", uri, *DEPLOY)
    with kubernetes_serving(serves(uri), tmp_path, monkeypatch) as api:
        replace_run(monkeypatch, lambda: None, Decided(WORSE, "more are wrong"))
        refused = headstart_here(*run, "--output", tmp_path / "refused")
        assert refused.returncode == 0, refused.stdout + refused.stderr
        assert "verdict worse: more are wrong" in refused.stdout
        assert (api.changes, read_champion(uri)) == ([], in_use)
        published = Published(PUBLISHED, f"{uri}/{other}", other)
        replace_run(monkeypatch, lambda: roll_back(uri, other), Decided(BETTER, "fewer are wrong"), published)
        done = headstart_here(*run, "--output", tmp_path / "published")
        assert done.returncode == 0, done.stdout + done.stderr
        labels = api.objects["deployments/pets"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == other
    assert done.stdout.endswith(f"version {other} answers\nhttp://pets.{NAMESPACE}.svc/v1/models/pets:predict\n")
