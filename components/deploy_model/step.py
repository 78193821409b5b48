"""Puts the champion behind an endpoint of a cluster: checked beside the present version, then promoted."""

import dataclasses
import datetime
import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

from headstart.components.core.registry.deployments import EndpointCheck, record_deployment
from headstart.components.core.registry.registry import Champion, read_champion
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event, log_phase, start_logging
from headstart.components.deploy_model.manifests import (
    APPLIED,
    CANARY,
    INSTANCE,
    PORT_NAME,
    STABLE,
    TRACK,
    VERSION,
    Manifest,
    annotate,
    make_deployment,
    make_inference_service,
    make_plain_objects,
    make_service,
    name_track,
)
from headstart.components.deploy_model.settings import DeployOptions, EndpointSpec, resolve_endpoint

if TYPE_CHECKING:
    from headstart.components.deploy_model.cluster import Cluster
    from headstart.components.deploy_model.live_check import LiveAgreement

DEPLOYED, UNCHANGED = "deployed", "unchanged"

_POLL_SECONDS = 2.0
_NO_WAY_ON = ("CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName",
              "CreateContainerConfigError", "CreateContainerError")  # fmt: skip
"""Reasons for which a container waits that time alone does not mend."""


@dataclasses.dataclass(frozen=True)
class Deployed:
    """Result of a deployment.

    Attributes:
        status: `DEPLOYED`, or `UNCHANGED`: the endpoint was as wanted already.
        version: Name of the version that answers.
        replaced: Name of the version that answered before; empty: none.
        namespace: Namespace of the endpoint.
        service: Name of the Kubernetes Service that requests go to.
        name: Name of the model in addresses.
    """

    status: str
    version: str
    replaced: str
    namespace: str
    service: str
    name: str

    @property
    def address(self) -> str:
        """Address for requests, as pods of the cluster see it."""
        return f"http://{self.service}.{self.namespace}.svc/v1/models/{self.name}:predict"


def deploy_model(publish_uri: str, options: DeployOptions) -> Deployed:
    """Puts the champion behind an endpoint.

    A new version is started beside the one that answers. Its endpoint gets images that are drawn at random, and must
    predict what the SavedModel of the published version predicts. Only then it takes the place of the other one, pod
    by pod, and the endpoint is checked again. If anything fails, the former version is put back.

    Args:
        publish_uri: `gs://` or `s3://` address where models are published.
        options: Options.

    Raises:
        HeadstartError: If nothing is published, the cluster refuses, or the new version was taken back; the message
            says why.
    """
    start_logging()
    spec, champion = plan_endpoint(publish_uri, options)
    endpoint = _open_endpoint(spec, options)
    former = endpoint.read_applied()
    if former == endpoint.objects and endpoint.is_settled():
        return _report(UNCHANGED, endpoint, spec, spec.version)
    replaced = former[0]["metadata"]["labels"][VERSION] if former else ""
    check = _prepare_check(endpoint.cluster, spec, champion, options.timeout)
    try:
        agreement = endpoint.roll_out(bool(former), check)
    except HeadstartError as error:
        why = f"version {spec.version} was taken back: {error}"
        try:
            endpoint.roll_back(former)
        except HeadstartError as other:
            raise HeadstartError(f"{why}; that failed too, look at {spec.name}: {other}") from None
        event("deployment_taken_back", version=spec.version, serving=replaced or "none", reason=error)
        raise HeadstartError(f"{why}; {f'{replaced} goes on' if replaced else 'nothing is deployed'}") from None
    except BaseException:
        # Whoever stops it, leaves nothing half done.
        endpoint.roll_back(former)
        raise
    deployed = _report(DEPLOYED, endpoint, spec, replaced)
    _record(publish_uri, deployed, agreement)
    return deployed


def _report(status: str, endpoint: "_Endpoint", spec: EndpointSpec, replaced: str) -> Deployed:
    found = Deployed(status, spec.version, replaced, endpoint.cluster.namespace, endpoint.service, spec.name)
    event("deployment", status=status, version=found.version, replaced=replaced, address=found.address)
    return found


def _record(publish_uri: str, deployed: Deployed, agreement: "LiveAgreement") -> None:
    """Records the check of the endpoint with the version; a deployment does not need the right to write there."""
    from headstart.components.core.networks.saved_model_parity import TOLERANCE

    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    check = EndpointCheck(when, deployed.address, **vars(agreement), tolerance=TOLERANCE)
    try:
        record_deployment(publish_uri, deployed.version, check)
    except HeadstartError as error:
        event("warning", text=f"the check of the endpoint is not recorded with the version: {first_line(error)}")


def check_deployment(publish_uri: str, options: DeployOptions) -> None:
    """Finds out before a long run what would keep a deployment after it from succeeding.

    Args:
        publish_uri: Address where models will be published.
        options: Options.

    Raises:
        HeadstartError: If an option is not valid, no cluster is known or answers, or the endpoint is not one that
            was made by a deployment.
    """
    _open_endpoint(resolve_endpoint(publish_uri, options), options).read_applied()


def plan_endpoint(publish_uri: str, options: DeployOptions) -> tuple[EndpointSpec, Champion]:
    """Looks up the champion, and checks the options.

    Raises:
        HeadstartError: If nothing is published, or an option is not valid.
    """
    champion = read_champion(publish_uri)
    shown = without_secrets(publish_uri)
    if champion is None:
        raise HeadstartError(f"nothing is published at {shown}; publish a model first: headstart publish out {shown}")
    spec = resolve_endpoint(publish_uri, options)
    return dataclasses.replace(spec, version=champion.version.version, address=champion.address), champion


class NoAliases(yaml.SafeDumper):
    """Writes equal values twice, where YAML could refer to the first."""

    def ignore_aliases(self, data: object) -> bool:
        """Whether a value is never referred to: always."""
        return True


def describe_objects(spec: EndpointSpec, kserve: bool) -> str:
    """The objects of an endpoint as YAML, for review or for another tool to apply."""
    objects = [make_inference_service(spec)] if kserve else make_plain_objects(spec)
    return yaml.dump_all(objects, Dumper=NoAliases, sort_keys=False)


Check = Callable[[str, bool], "LiveAgreement"]
"""Checks a service, by its name; and whether no other version may answer there in the end."""


def _prepare_check(cluster: "Cluster", spec: EndpointSpec, champion: Champion, timeout: float) -> Check:
    from headstart.components.core.networks.saved_model_parity import predict_drawn_images
    from headstart.components.core.registry.model_files import find_model
    from headstart.components.deploy_model.live_check import check_endpoint

    log_phase("predicting drawn images")
    _, info = find_model(champion.address)
    drawn = predict_drawn_images(champion.address, champion.version, info)

    def check(service: str, alone: bool) -> "LiveAgreement":
        return check_endpoint(
            lambda request: cluster.post(f"{service}:{PORT_NAME}", f"v1/models/{spec.name}:predict", request),
            drawn,
            info.classes,
            spec.version,
            timeout,
            alone,
        )

    return check


class _Endpoint:
    """An endpoint in a cluster, and the objects that it is to be made of; the first keeps all of them."""

    objects: list[Manifest]
    service: str

    def __init__(self, cluster: "Cluster", spec: EndpointSpec, options: DeployOptions) -> None:
        self.cluster = cluster
        self._spec = spec
        self._options = options

    def read_applied(self) -> list[Manifest]:
        """The objects that the endpoint is made of now; none if there is none."""
        kind, name = self.objects[0]["kind"], self._spec.name
        found = self.cluster.get(kind, name)
        if found is None:
            return []
        try:
            return list(json.loads(found["metadata"]["annotations"][APPLIED]))
        except (KeyError, ValueError):
            raise HeadstartError(
                f"the {kind} {name!r} in namespace {self.cluster.namespace!r} was not made by headstart deploy; "
                "choose another name for the endpoint with --name, or delete it"
            ) from None

    def roll_back(self, former: list[Manifest]) -> None:
        """Puts the former objects back, or deletes the new ones if there were none."""
        log_phase("rolling back")
        self._apply(former)
        kept = {(each["kind"], each["metadata"]["name"]) for each in former}
        for each in self.objects:
            if (each["kind"], each["metadata"]["name"]) not in kept:
                self.cluster.delete(each["kind"], each["metadata"]["name"])

    def _apply(self, objects: list[Manifest]) -> None:
        # The others first: the one that keeps the record tells of them.
        for each in objects[1:]:
            self.cluster.apply(each)
        for each in objects[:1]:
            self.cluster.apply(annotate(each, objects))

    def _watch(self, service: str, check: Check, alone: bool) -> None:
        end = time.monotonic() + self._options.watch_seconds
        check(service, alone)
        while time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            check(service, alone)

    def _wait(self, what: str, reached: Callable[[], bool], pods: dict[str, str] | None) -> None:
        """Waits for something, and stops if one of the pods with some labels cannot start."""
        log_phase(f"waiting for {what}")
        end = time.monotonic() + self._options.timeout
        while not reached():
            reason = _find_failure(self.cluster.list_pods(pods)) if pods else ""
            if reason or time.monotonic() > end:
                late = f"{what} were not ready after {self._options.timeout:.0f} s"
                raise HeadstartError(f"its pods do not start: {reason}" if reason else late)
            time.sleep(_POLL_SECONDS)


class _PlainEndpoint(_Endpoint):
    """A Deployment with a Service, and an autoscaler where it scales."""

    def __init__(self, cluster: "Cluster", spec: EndpointSpec, options: DeployOptions) -> None:
        super().__init__(cluster, spec, options)
        self.objects = make_plain_objects(spec)
        self.service = spec.name

    def is_settled(self) -> bool:
        return self._is_rolled_out(STABLE)

    def roll_out(self, replaces: bool, check: Check) -> "LiveAgreement":
        spec = self._spec
        if replaces:
            self._check_canary(check)
        self._apply(self.objects)
        self._wait("pods", lambda: self._is_rolled_out(STABLE), {INSTANCE: spec.name, VERSION: spec.version})
        self._delete_canary()
        if not spec.scales:
            self.cluster.delete("HorizontalPodAutoscaler", spec.name)
        return check(spec.name, True)

    def roll_back(self, former: list[Manifest]) -> None:
        self._delete_canary()
        super().roll_back(former)
        if former:
            self._wait("pods of the former version", lambda: self._is_rolled_out(STABLE), None)

    def _check_canary(self, check: Check) -> None:
        """Starts the new version beside the present one, and checks it."""
        spec, share = self._spec, self._options.canary
        present = (self.cluster.get("Deployment", spec.name) or {}).get("status", {}).get("replicas", spec.replicas)
        pods = max(1, math.ceil(present * share / (100 - share)))
        event("canary", pods=pods, of=present + pods, share=share)
        self.cluster.apply(make_service(spec, CANARY))
        self.cluster.apply(make_deployment(spec, CANARY, pods, traffic=share > 0))
        labels = {INSTANCE: spec.name, TRACK: CANARY, VERSION: spec.version}
        self._wait("canary pods", lambda: self._is_rolled_out(CANARY), labels)
        self._watch(name_track(spec.name, CANARY), check, True)

    def _delete_canary(self) -> None:
        for kind in ("Deployment", "Service"):
            self.cluster.delete(kind, name_track(self._spec.name, CANARY))

    def _is_rolled_out(self, track: str) -> bool:
        found = self.cluster.get("Deployment", name_track(self._spec.name, track))
        if found is None:
            return False
        wanted, status = found["spec"]["replicas"], found.get("status", {})
        counts = [status.get(each, 0) for each in ("replicas", "updatedReplicas", "availableReplicas")]
        return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [wanted] * 3


class _KServeEndpoint(_Endpoint):
    """A KServe `InferenceService`."""

    def __init__(self, cluster: "Cluster", spec: EndpointSpec, options: DeployOptions) -> None:
        super().__init__(cluster, spec, options)
        self.objects = [make_inference_service(spec)]
        self.service = f"{spec.name}-predictor"

    def is_settled(self) -> bool:
        return self._has_started()

    def roll_out(self, replaces: bool, check: Check) -> "LiveAgreement":
        if replaces and self._options.canary:
            first = make_inference_service(self._spec, self._options.canary)
            self.cluster.apply(annotate(first, self.read_applied()))
            self._wait("canary pods", self._has_started, self._pods())
            self._watch(self.service, check, False)
        self._apply(self.objects)
        self._wait("pods", self._has_started, self._pods())
        return check(self.service, True)

    def _pods(self) -> dict[str, str]:
        return {INSTANCE: self._spec.name, VERSION: self._spec.version}

    def _has_started(self) -> bool:
        """Whether the new version has ready pods; KServe calls an object ready while former pods still answer.

        Its `observedGeneration` tells nothing: without Knative that is the Deployment's, which an autoscaler changes.
        """
        found = self.cluster.get("InferenceService", self._spec.name) or {}
        conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions", [])}
        return conditions.get("Ready") == "True" and any(map(_is_pod_ready, self.cluster.list_pods(self._pods())))


def _open_endpoint(spec: EndpointSpec, options: DeployOptions) -> _PlainEndpoint | _KServeEndpoint:
    """The endpoint in the cluster, of the kind that the cluster has."""
    # Here, since the client of Kubernetes would take a second of the start of every command.
    from headstart.components.deploy_model.cluster import Cluster

    cluster = Cluster(options.namespace)
    kserve = options.kserve and cluster.has_kserve()
    return _KServeEndpoint(cluster, spec, options) if kserve else _PlainEndpoint(cluster, spec, options)


def _is_pod_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _find_failure(pods: list[Manifest]) -> str:
    """Why pods cannot start; empty: they can, or nothing is known yet."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in _NO_WAY_ON:
                ended = container.get("lastState", {}).get("terminated", {})
                lines = (ended.get("message") or waiting.get("message") or "").strip().splitlines()
                return f"{waiting['reason']}: {lines[-1]}" if lines else str(waiting["reason"])
    return ""
