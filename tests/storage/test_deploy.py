"""Deployments from this machine of models in a store, to a namespace on loopback."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support import ROOT
from support.commands import headstart_here
from support.kubernetes_api import NAMESPACE, kubernetes_serving
from support.stores import Stored

from headstart.components.core.networks.saved_model_parity import predict_drawn_images
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.registry.registry import list_versions, read_champion

REGISTRY = ROOT / "tests" / "compatibility" / "artifacts" / "registry"


@pytest.mark.slow
def test_a_rollback_deploys_the_version_it_puts_back_and_a_run_finds_out_beforehand_what_it_may_not_deploy(
    minio: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in filter(Path.is_file, REGISTRY.rglob("*")):
        minio.upload(f"models/pets/{file.relative_to(REGISTRY)}", file.read_bytes())
    uri = minio.uri("models/pets")
    in_use = read_champion(uri)
    assert in_use
    (other,) = [each for each in list_versions(uri).versions if each.version != in_use.version.version]
    place, info = find_model(f"{uri}/{other.version}")
    drawn = predict_drawn_images(place, other, info)

    def answer(version: str, request: dict[str, Any]) -> dict[str, Any]:
        image = base64.b64decode(request["instances"][0]["image_bytes"]["b64"])
        probabilities = drawn.probabilities[drawn.files.index(image)]
        row = {"label": info.classes[probabilities.index(max(probabilities))], "probabilities": probabilities}
        return {"predictions": [row], "classes": info.classes, "model_version": version}

    deploy = ("--deploy", "--endpoint", "replicas=3", "--endpoint", "kserve=false")
    with kubernetes_serving(answer, tmp_path, monkeypatch) as api:
        api.objects["deployments/pets"] = {"kind": "Deployment", "metadata": {"name": "pets"}}
        run = ("run", "--data", tmp_path, "--output", tmp_path / "out", "--publish", uri, *deploy)
        for command in (run, ("models", "rollback", uri, other.version, *deploy)):
            refused = headstart_here(*command)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "the Deployment 'pets' in namespace 'serving' was not made by headstart" in refused.stderr
        assert read_champion(uri) == in_use
        api.objects.clear()
        done = headstart_here("models", "rollback", uri, other.version, *deploy)
        assert done.returncode == 0, done.stdout + done.stderr
        assert api.objects["deployments/pets"]["spec"]["replicas"] == 3
    address = f"http://pets.{NAMESPACE}.svc/v1/models/pets:predict"
    assert done.stdout.endswith(f"version {other.version} answers\n{address}\n")
    (check,) = json.loads(headstart_here("models", "show", uri).stdout)["deployments"]
    assert (check["endpoint"], check["images"], check["same_label"]) == (address, 8, 8)
