"""A namespace of Kubernetes on loopback: objects by server-side apply, pods that are ready at once, and a proxy."""

import contextlib
import dataclasses
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import kube_config

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Answer of a model server: from the version of its pods and a request."""

NAMESPACE = "serving"


@dataclasses.dataclass
class KubernetesApi:
    """The namespace.

    Attributes:
        answer: Answers requests to services.
        objects: Objects by the rest of their paths, such as ``deployments/pets``.
        changes: Methods and paths of the changes, in order.
    """

    answer: Answer
    objects: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    changes: list[str] = dataclasses.field(default_factory=list)

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and content of an answer."""
        place = urllib.parse.urlsplit(path).path.partition(f"/namespaces/{NAMESPACE}/")[2]
        if method == "GET" and place == "pods":
            return 200, {"items": []}
        if method == "POST":
            return 200, self.answer(self._version_behind(place.split("/")[1].partition(":")[0]), body)
        if method == "PATCH":
            self.changes.append(f"apply {place}")
            self.objects[place] = self._apply(place, body)
        if place not in self.objects:
            return 404, {"message": "not found"}
        if method == "DELETE":
            self.changes.append(f"delete {place}")
            return 200, self.objects.pop(place)
        return 200, self.objects[place]

    def _apply(self, place: str, body: dict[str, Any]) -> dict[str, Any]:
        generation = self.objects.get(place, {"metadata": {"generation": 0}})["metadata"]["generation"] + 1
        made = body | {"metadata": body["metadata"] | {"generation": generation}}
        if body["kind"] == "Deployment":
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), body["spec"]["replicas"])
            made["status"] = counts | {"observedGeneration": generation}
        return made

    def _version_behind(self, service: str) -> str:
        return str(self.objects[f"deployments/{service}"]["metadata"]["labels"]["app.kubernetes.io/version"])


@contextlib.contextmanager
def kubernetes_serving(answer: Answer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """Serves a namespace, and makes it that of kubectl's configuration.

    Args:
        answer: Answers requests to services.
        folder: Folder for the configuration.
        monkeypatch: Sets the place of the configuration, which Kubernetes' client reads when it is imported.
    """
    api = KubernetesApi(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answered = api.handle(self.command, self.path, json.loads(content) if content else None)
            body = json.dumps(answered).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._handle)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    context = {"cluster": "here", "user": "me", "namespace": NAMESPACE}
    settings = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": context}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(settings))
    for module in ("kubernetes.config", kube_config.__name__):
        monkeypatch.setattr(f"{module}.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
