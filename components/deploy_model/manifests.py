"""Kubernetes objects of an endpoint: Deployment, Service and autoscaler, or a KServe `InferenceService`."""

import json
from typing import Any

from headstart.components.deploy_model.settings import EndpointSpec

Manifest = dict[str, Any]

PORT = 8080
"""Port of `headstart serve`."""

PORT_NAME = "http"
SERVER = "kserve-container"
"""Name that KServe wants the container to have."""

STABLE, CANARY = "stable", "canary"
APPLIED = "headstart/applied"
"""Annotation with the manifests that an endpoint was made from, to which a failed rollout returns."""

TRACK, TRAFFIC = "headstart/track", "headstart/traffic"
INSTANCE, VERSION = "app.kubernetes.io/instance", "app.kubernetes.io/version"

_DRAIN_SECONDS = 5
"""Time for which a pod goes on to answer when it is to end, until no proxy of the cluster sends it requests."""

_GRACE_SECONDS = 60
_START_SECONDS = 600


def make_deployment(spec: EndpointSpec, track: str = STABLE, replicas: int = 0, traffic: bool = True) -> Manifest:
    """Makes the Deployment of a track.

    Args:
        spec: Name, version, image and resources of the endpoint.
        track: `STABLE` or `CANARY`.
        replicas: Number of pods; 0: that of the endpoint.
        traffic: Whether the endpoint sends requests to the pods.
    """
    selector = {INSTANCE: spec.name, TRACK: track}
    labels = _labels(spec) | selector
    scaled: Manifest = {} if spec.scales and not replicas else {"replicas": replicas or spec.replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name_track(spec.name, track), "labels": labels},
        "spec": {
            **scaled,
            "selector": {"matchLabels": selector},
            # A pod is stopped only when another answers in its place.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels | ({TRAFFIC: "yes"} if traffic else {})},
                "spec": _make_pod(spec),
            },
        },
    }


def name_track(name: str, track: str) -> str:
    """Name of the Deployment and the Service of a track."""
    return name if track == STABLE else f"{name}-{track}"


def make_service(spec: EndpointSpec, track: str = STABLE) -> Manifest:
    """Makes the Service: of the endpoint, or of its canary's pods alone."""
    selector = {INSTANCE: spec.name} | ({TRAFFIC: "yes"} if track == STABLE else {TRACK: track})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name_track(spec.name, track), "labels": _labels(spec)},
        "spec": {"selector": selector, "ports": [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME}]},
    }


def make_autoscaler(spec: EndpointSpec) -> Manifest:
    """Makes the object that changes the number of pods with the load of their processors."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.name}
    load = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": spec.name, "labels": _labels(spec)},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": spec.replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [{"type": "Resource", "resource": load}],
        },
    }


def make_plain_objects(spec: EndpointSpec) -> list[Manifest]:
    """Makes the objects of an endpoint without KServe, the Deployment first."""
    objects = [make_deployment(spec), make_service(spec)]
    return [*objects, make_autoscaler(spec)] if spec.scales else objects


def make_inference_service(spec: EndpointSpec, canary: int = 0) -> Manifest:
    """Makes the KServe `InferenceService`.

    Args:
        spec: Name, version, image and resources of the endpoint.
        canary: Share in percent of the requests that the new revision gets at first; 0: all.
    """
    predictor: Manifest = _make_pod(spec) | {
        "minReplicas": spec.replicas,
        "maxReplicas": max(spec.replicas, spec.max_replicas),
    }
    if canary:
        predictor["canaryTrafficPercent"] = canary
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": spec.name, "labels": _labels(spec)},
        "spec": {"predictor": predictor},
    }


def annotate(manifest: Manifest, applied: list[Manifest]) -> Manifest:
    """A manifest with the annotation that keeps the manifests it belongs to."""
    content = json.dumps(applied, sort_keys=True)
    return manifest | {"metadata": manifest["metadata"] | {"annotations": {APPLIED: content}}}


def _labels(spec: EndpointSpec) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "headstart-serve",
        "app.kubernetes.io/managed-by": "headstart",
        INSTANCE: spec.name,
        VERSION: spec.version,
    }


def _make_pod(spec: EndpointSpec) -> Manifest:
    arguments = [spec.address, "--host", "0.0.0.0", "--port", str(PORT), "--name", spec.name]  # noqa: S104 - in a pod
    if spec.precision:
        arguments += ["--precision", str(spec.precision)]
    ready, live = ({"httpGet": {"path": f"/v2/health/{what}", "port": PORT_NAME}} for what in ("ready", "live"))
    container: Manifest = {
        "name": SERVER,
        "image": spec.image,
        "args": arguments,
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        # The port opens when the model is loaded and compared with its SavedModel.
        "startupProbe": ready | {"periodSeconds": 5, "failureThreshold": _START_SECONDS // 5},
        "readinessProbe": ready | {"periodSeconds": 5, "timeoutSeconds": 5},
        "livenessProbe": live | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_DRAIN_SECONDS)]}}},
        "resources": {"requests": {"cpu": spec.cpu, "memory": spec.memory}, "limits": {"memory": spec.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The reason why a server has ended is then in the status of its pod.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in a pod
    }
    if spec.secret:
        container["envFrom"] = [{"secretRef": {"name": spec.secret}}]
    pod: Manifest = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return pod | ({"serviceAccountName": spec.service_account} if spec.service_account else {})
