"""A namespace of a Kubernetes cluster, through Kubernetes' own client; each failure is explained in one line."""

import json
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.deploy_model.manifests import Manifest

_MANAGER = "headstart"
_SECONDS = 60
_NOT_FOUND, _FORBIDDEN, _UNAUTHORIZED = 404, 403, 401
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_KINDS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
}


class Cluster:
    """A namespace of a cluster.

    Args:
        namespace: Its name; empty: that of the pod this runs in, or of kubectl's present context, or `default`.

    Attributes:
        namespace: Its name.

    Raises:
        HeadstartError: If neither kubectl's configuration nor a pod's service account is there.
    """

    def __init__(self, namespace: str = "") -> None:
        found = ""
        try:
            config.load_config()
            _, context = config.list_kube_config_contexts()
            found = context["context"].get("namespace", "")
        except (config.ConfigException, OSError) as error:
            if not _POD_NAMESPACE.exists():
                raise HeadstartError(
                    f"no cluster is known ({first_line(error)}); set KUBECONFIG, or run it in a pod with a service "
                    "account"
                ) from None
            found = _POD_NAMESPACE.read_text(encoding="utf-8").strip()
        self.namespace = namespace or found or "default"
        self._api = client.ApiClient()

    def apply(self, manifest: Manifest) -> None:
        """Makes an object, or changes it to what a manifest says, by server-side apply."""
        path = f"{self._place(manifest['kind'])}/{manifest['metadata']['name']}"
        self._request(
            "PATCH",
            path,
            manifest,
            {"Content-Type": "application/apply-patch+yaml"},
            query=[("fieldManager", _MANAGER), ("force", "true")],
        )

    def get(self, kind: str, name: str) -> Manifest | None:
        """An object as it is now; None: there is none."""
        try:
            found: Manifest = self._request("GET", f"{self._place(kind)}/{name}")
        except _NotFound:
            return None
        return found

    def list_pods(self, labels: dict[str, str]) -> list[Manifest]:
        """The pods with some labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self._request("GET", self._place("Pod"), query=[("labelSelector", selector)])
        return list(found["items"])

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object with what belongs to it; there may be none."""
        try:
            self._request("DELETE", f"{self._place(kind)}/{name}", query=[("propagationPolicy", "Background")])
        except _NotFound:
            return

    def has_kserve(self) -> bool:
        """Whether KServe is installed."""
        try:
            self._request("GET", "/apis/serving.kserve.io/v1beta1")
        except _NotFound:
            return False
        return True

    def post(self, service: str, path: str, body: dict[str, Any]) -> Any:
        """Sends JSON to a service of the namespace, through Kubernetes' own proxy; returns the JSON of the answer.

        Args:
            service: Name of the service, with `:` and the name of its port.
            path: Path of the address there.
            body: The request.

        Raises:
            ServiceError: If the service does not answer, or by an error.
        """
        place = f"{self._place('Service')}/{service}/proxy/{path}"
        try:
            return self._request("POST", place, body, {"Content-Type": "application/json"})
        except _Failed as error:
            if error.status in (_FORBIDDEN, _UNAUTHORIZED):
                raise
            raise ServiceError(str(error)) from None

    def _place(self, kind: str) -> str:
        return _KINDS[kind].format(namespace=self.namespace)

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        query: list[tuple[str, str]] | None = None,
    ) -> Any:
        try:
            return self._api.call_api(
                path,
                method,
                query_params=query or [],
                header_params={"Accept": "application/json"} | (headers or {}),
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_SECONDS,
            )
        except ApiException as error:
            kind = _NotFound if error.status == _NOT_FOUND else _Failed
            raise kind(error.status, f"the cluster refuses {method} {path}: {_describe(error)}") from None
        except urllib3.exceptions.HTTPError as error:
            raise HeadstartError(
                f"the cluster at {self._api.configuration.host} does not answer ({first_line(error)}); check "
                "KUBECONFIG and the network"
            ) from None


class ServiceError(HeadstartError):
    """A service does not answer, or by an error."""


class _Failed(HeadstartError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _NotFound(_Failed):
    pass


def _describe(error: ApiException) -> str:
    """What the cluster, or a service behind it, says of a failure."""
    try:
        body = json.loads(error.body)
        said = body.get("message") or body.get("error") or error.reason
    except (TypeError, ValueError, AttributeError):
        said = error.reason
    way_out = "; see docs/how-to/deploy.md for the rights that it takes" if error.status == _FORBIDDEN else ""
    return f"{said} ({error.status}){way_out}"
