"""A deployment from the first pod to what is recorded with the version, in a namespace on loopback."""

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import ROOT
from support.kubernetes_api import NAMESPACE, kubernetes_serving

from headstart.components.core.networks.saved_model_parity import predict_drawn_images
from headstart.components.core.registry.deployments import read_deployments
from headstart.components.core.registry.model_files import find_model
from headstart.components.core.registry.registry import read_champion
from headstart.components.core.util.errors import HeadstartError
from headstart.components.deploy_model import step
from headstart.components.deploy_model.settings import DeployOptions
from headstart.components.deploy_model.step import DEPLOYED, UNCHANGED, check_deployment, deploy_model

REGISTRY = ROOT / "tests" / "compatibility" / "artifacts" / "registry"


@pytest.mark.slow
def test_champion_is_deployed_recorded_and_kept_when_another_rollout_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "_POLL_SECONDS", 0.01)
    uri = str(shutil.copytree(REGISTRY, tmp_path / "pets"))
    champion = read_champion(uri)
    assert champion
    _, info = find_model(champion.address)
    drawn = predict_drawn_images(champion.address, champion.version, info)
    known = dict(zip(drawn.files, drawn.probabilities, strict=True))
    off = [0.0]

    def answer(version: str, request: dict[str, Any]) -> dict[str, Any]:
        first, *others = known[base64.b64decode(request["instances"][0]["image_bytes"]["b64"])]
        probabilities = [first + off[0], *others]
        label = info.classes[probabilities.index(max(probabilities))]
        rows = [{"label": label, "probabilities": probabilities}]
        return {"predictions": rows, "classes": info.classes, "model_version": version}

    name = champion.version.version
    with kubernetes_serving(answer, tmp_path, monkeypatch) as api:
        check_deployment(uri, DeployOptions())
        assert not api.changes
        deployed = deploy_model(uri, DeployOptions())
        assert (deployed.status, deployed.version, deployed.replaced) == (DEPLOYED, name, "")
        assert deployed.address == f"http://pets.{NAMESPACE}.svc/v1/models/pets:predict"
        (check,) = read_deployments(uri, name)
        assert (check.endpoint, check.images, check.same_label) == (deployed.address, 8, 8)
        assert check.largest_difference == 0
        before = dict(api.objects)
        assert deploy_model(uri, DeployOptions()).status == UNCHANGED
        assert api.objects == before

        off[0] = 0.3
        with pytest.raises(HeadstartError, match=rf"{name} was taken back: .* by up to 0.3, .*; {name} goes on"):
            deploy_model(uri, DeployOptions.of({"replicas": 3}))
        assert "apply deployments/pets-canary" in api.changes
        assert set(api.objects) == set(before)
        assert api.objects["deployments/pets"]["spec"]["replicas"] == 2
        assert read_deployments(uri, name) == [check]
        assert read_champion(uri) == champion

        api.objects["deployments/pets"]["metadata"].pop("annotations")
        with pytest.raises(HeadstartError, match="'pets' in namespace 'serving' was not made by headstart deploy"):
            check_deployment(uri, DeployOptions())
