"""Objects of an endpoint, and the check of one that answers; tests/cluster deploys them."""

import base64
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kubernetes_objects import EXAMPLE, find_faults, write_example

from headstart.components.core.networks.saved_model_parity import DrawnPredictions
from headstart.components.core.registry.registry import OVERTAKEN
from headstart.components.core.util.errors import HeadstartError
from headstart.components.deploy_model import step
from headstart.components.deploy_model.cluster import ServiceError
from headstart.components.deploy_model.component import deploy_model
from headstart.components.deploy_model.live_check import check_endpoint
from headstart.components.deploy_model.manifests import (
    CANARY,
    make_deployment,
    make_inference_service,
    make_plain_objects,
    make_service,
)
from headstart.components.deploy_model.settings import DeployOptions, EndpointSpec, check_reachable, resolve_endpoint
from headstart.components.deploy_model.step import plan_endpoint

SPEC = EndpointSpec("pets", "a1", "gs://b/pets/a1", "headstart-serve:1", max_replicas=4, secret="s3")


def test_objects_have_the_fields_that_kubernetes_knows() -> None:
    for each in [*make_plain_objects(SPEC), make_deployment(SPEC, CANARY, 1, False), make_service(SPEC, CANARY)]:
        assert find_faults(each) == []
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pets"}}
    predictor = make_inference_service(SPEC)["spec"]["predictor"]
    pod["spec"] = {key: each for key, each in predictor.items() if not key.endswith("Replicas")}
    assert find_faults(pod) == []
    deployment = make_deployment(SPEC)
    deployment["spec"]["template"]["spec"]["containers"][0]["arg"] = ["wrong"]
    assert find_faults(deployment) == ["Deployment.spec.template.spec.containers[0] has no field 'arg'"]


def test_only_a_canary_with_a_share_gets_requests_of_the_endpoint() -> None:
    wanted = make_service(SPEC)["spec"]["selector"].items()
    for traffic in (True, False):
        canary = make_deployment(SPEC, CANARY, 2, traffic)
        assert (wanted <= canary["spec"]["template"]["metadata"]["labels"].items()) is traffic
        assert canary["spec"]["replicas"] == 2
    assert "replicas" not in make_deployment(SPEC)["spec"], "the autoscaler has the number"


def test_examples_are_what_the_command_makes_and_kubernetes_knows() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == write_example()
    for name in ("deployment.yaml", "rbac.yaml", "rbac-runs.yaml"):
        for each in yaml.safe_load_all((EXAMPLE.parent / name).read_text(encoding="utf-8")):
            assert find_faults(each) == []


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"name": "Pets"}, "'Pets' is no name for an endpoint"),
        ({"canary": 60}, "canary 60 is not a share from 0 to 50 percent"),
        ({"replicas": 3, "max_replicas": 2}, "3 to 2 replicas"),
        ({"image": "serve:latest"}, "name a version"),
        ({"precision": 95}, "precision 95 is not a share"),
        ({"timeout": math.nan}, "wait for nan s makes no sense"),
        ({"cpu": "two"}, "cpu 'two' is not a quantity"),
    ],
)
def test_options_that_make_no_endpoint_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        resolve_endpoint("gs://b/pets", DeployOptions.of(inputs))


def test_options_are_the_inputs_of_the_component() -> None:
    known = deploy_model.component_spec.inputs
    defaults = {name: known[name].default for name in known if name not in ("publish_uri", "publication")}
    assert DeployOptions().inputs() == defaults
    assert DeployOptions.of(defaults) == DeployOptions()


def test_a_model_that_was_overtaken_is_not_deployed() -> None:
    assert deploy_model.python_func("gs://bucket/pets", publication=OVERTAKEN) == OVERTAKEN


def test_addresses_without_a_model_or_out_of_reach_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="nothing is published at"):
        plan_endpoint(str(tmp_path), DeployOptions())
    with pytest.raises(HeadstartError, match="a folder of this machine, which pods cannot read"):
        check_reachable("models/pets")


DRAWN = DrawnPredictions([b"one", b"two"], [[0.9, 0.1], [0.2, 0.8]])
RIGHT = {b"one": ("cat", [0.9, 0.1]), b"two": ("dog", [0.201, 0.799])}


def make_endpoint(rows: dict[bytes, Any], versions: list[str]) -> Any:
    """An endpoint that answers by one version after the other, and stays at the last; None: it fails."""

    def ask(request: dict[str, Any]) -> Any:
        version = versions.pop(0) if len(versions) > 1 else versions[0]
        if not version:
            raise ServiceError("503")
        label, probabilities = rows[base64.b64decode(request["instances"][0]["image_bytes"]["b64"])]
        row = {"label": label, "probabilities": probabilities}
        return {"predictions": [row], "classes": ["cat", "dog"], "model_version": version}

    return ask


def test_endpoint_is_waited_for_until_the_version_answers() -> None:
    for alone in (True, False):
        ask = make_endpoint(RIGHT, ["old", "new", "", "old", "new"])
        found = check_endpoint(ask, DRAWN, ["cat", "dog"], "new", 9, alone)
        assert (found.images, found.same_label) == (2, 2)
        assert found.largest_difference == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("rows", "versions", "message"),
    [
        (RIGHT, ["old"], "answers by old, and not by new, after 0 s"),
        (RIGHT | {b"two": ("dog", [0.3, 0.7])}, ["new"], "by up to 0.1, more than 0.01"),
        (RIGHT | {b"two": ("cat", [0.2, 0.8])}, ["new"], "calls drawn image 1 'cat', its SavedModel 'dog'"),
        (RIGHT | {b"two": ("dog", [0.2])}, ["new"], "more than 0.01"),
    ],
)
def test_endpoint_that_predicts_otherwise_is_refused(rows: Any, versions: list[str], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        check_endpoint(make_endpoint(rows, versions), DRAWN, ["cat", "dog"], "new", 0.0, True)


def test_kserve_is_ready_also_after_an_autoscaler_has_changed_its_deployment() -> None:
    # As KServe 0.17.1 reports without Knative: of what it observed it gives the Deployment's generation.
    ready = [{"type": "Ready", "status": "True"}]
    service = {"metadata": {"generation": 1}, "status": {"observedGeneration": 2, "conditions": ready}}
    pods: list[Any] = [{"status": {"conditions": ready}}]

    class Namespace:
        def get(self, kind: str, name: str) -> Any:
            return service

        def list_pods(self, labels: dict[str, str]) -> list[Any]:
            return pods

    endpoint = step._KServeEndpoint(Namespace(), SPEC, DeployOptions())  # type: ignore[arg-type]
    assert endpoint.is_settled()
    pods.clear()
    assert not endpoint.is_settled(), "former pods still answer"
