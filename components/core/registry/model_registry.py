"""Published versions in Kubeflow's Model Registry, through its REST API.

The folder or address where models are published is one registered model there, and each version is one of its
versions. The custom property `champion` says which one is in use.

The API is that of Kubeflow's OpenAPI description. Newer servers have it at `v1`, those up to 0.3.8 at `v1alpha3`.
Each release of their Python client speaks one of the two; this module takes the one that the server has.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase

from headstart.components.core.artifacts.model import MODEL_FORMAT, MODEL_JSON, ModelInfo
from headstart.components.core.registry import registry
from headstart.components.core.registry.export_formats import SAVED_MODELS
from headstart.components.core.registry.service_name import name_service
from headstart.components.core.registry.versions import MODEL_FOLDER
from headstart.components.core.storage.manifests import parse_manifest
from headstart.components.core.storage.stores import (
    Tree,
    has_credentials,
    is_remote,
    is_web,
    open_tree,
    without_secrets,
)
from headstart.components.core.util.errors import HeadstartError, first_line
from headstart.components.core.util.logs import event

TOKEN_VARIABLE = "HEADSTART_MODEL_REGISTRY_TOKEN"  # noqa: S105 - its name alone
"""Environment variable with the bearer token that the registry asks for."""

CHAMPION_PROPERTY = "champion"
API_VERSIONS = ("v1", "v1alpha3")
_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 20.0
_PAGE = 100
_DIGEST_LETTERS = 6
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]


def check_registry_url(url: str) -> None:
    """Refuses what is no address of a registry, and credentials in one.

    Args:
        url: Address of the registry; empty: there is none.

    Raises:
        HeadstartError: If it is wrong.
    """
    if not url:
        return
    if not is_web(url):
        raise HeadstartError(
            f"registry_url {url!r} is not the address of a Model Registry; give one such as "
            "http://model-registry-service.kubeflow.svc.cluster.local:8080"
        )
    if has_credentials(url):
        raise HeadstartError(
            f"registry_url {without_secrets(url)!r} comes with a password or a token, which everybody could read; "
            f"leave it out, and set {TOKEN_VARIABLE}"
        )


@dataclasses.dataclass(frozen=True)
class Registration:
    """A version as it is registered.

    Attributes:
        place: Address where models of this kind are published, without secrets.
        version: Name of the version.
        artifact: Address of its SavedModel.
        description: Its figures in a sentence.
        properties: Its custom properties.
        run: Id of the run of Kubeflow Pipelines that made it; empty: another origin.
    """

    place: str
    version: str
    artifact: str
    description: str
    properties: Mapping[str, bool | int | float | str]
    run: str


def describe_registration(uri: str, name: str = "") -> Registration:
    """Describes a version for the registry, from what is published.

    Args:
        uri: Folder, or `gs://` or `s3://` address, where models are published.
        name: Name of the version; empty: the champion.

    Raises:
        HeadstartError: If nothing is published there, or the version is missing or damaged.
    """
    champion = registry.read_champion(uri)
    if champion is None:
        raise HeadstartError(f"nothing is published at {without_secrets(uri)}; check the address")
    in_use = champion.version.version
    version = champion.version if name in ("", in_use) else registry.read_version(uri, name)
    base = champion.address.rpartition("/")[0]
    address = f"{base if is_remote(base) else Path(base).absolute().as_uri()}/{version.version}"
    replaced = [each.replaced for each in champion.history if each.version == version.version]
    facts = version.facts
    low, high = facts.accuracy_interval
    info = _read_model_info(open_tree(uri), version.version)
    return Registration(
        without_secrets(base),
        version.version,
        f"{address}/{SAVED_MODELS}",
        f"accuracy {facts.accuracy:.3f} ({low:.3f} to {high:.3f}, 95 % interval) on {facts.images:,} test images",
        {
            CHAMPION_PROPERTY: version.version == in_use,
            "accuracy": facts.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "test_images": facts.images,
            "classes": ", ".join(facts.classes),
            **{f"data_{split}": digest for split, digest in facts.data.items()},
            "model_sha256": facts.model,
            "backbone": info.backbone,
            "backbone_sha256": info.backbone_sha256,
            "run": facts.run,
            "replaced": replaced[0] if replaced else "",
            "published": version.created,
        },
        facts.run if _RUN_ID.fullmatch(facts.run) else "",
    )


def _read_model_info(tree: Tree, version: str) -> ModelInfo:
    name = f"{version}/{MODEL_FOLDER}/{MODEL_JSON}"
    content, _ = tree.read(name)
    try:
        return parse_manifest(content, ModelInfo, MODEL_FORMAT)[0]
    except ValueError as error:
        raise HeadstartError(f"{tree.address}/{name} {error}; publish the model again") from None


def register(url: str, uri: str, name: str = "") -> str:
    """Registers a published version, and marks the champion among all that are registered.

    What is registered already is brought up to date, and properties that others have set stay.

    Args:
        url: Address of the registry.
        uri: Folder, or `gs://` or `s3://` address, where models are published.
        name: Name of the version; empty: the champion.

    Returns:
        Name of the registered model.

    Raises:
        HeadstartError: If the registry cannot be reached or refuses, or nothing is published. The message names the
            command that registers the champion later.
    """
    check_registry_url(url)
    entry, shown = describe_registration(uri, name), without_secrets(url)
    try:
        api = _Api(url)
        model = _find_or_create_model(api, entry)
        version = _create_or_update_version(api, model["id"], entry)
        _add_artifact(api, version["id"], entry)
        if entry.properties[CHAMPION_PROPERTY]:
            _unmark_others(api, model["id"], entry.version)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadstartError(
            f"{entry.version} at {entry.place} was not registered at {shown}: {_explain(error)}; it is published all "
            f"the same; headstart models register {entry.place} {shown} registers it later"
        ) from None
    event("registration", model=model["name"], version=entry.version, registry=shown)
    return str(model["name"])


class _Token(AuthBase):
    """Bearer token of the environment; unlike a header of the session, no `.netrc` replaces it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token := os.environ.get(TOKEN_VARIABLE, "").strip():
            request.headers["Authorization"] = f"Bearer {token}"
        return request


class _Api:
    """Requests to the registry, in the version of the API that it has."""

    def __init__(self, url: str) -> None:
        self._root = f"{url.rstrip('/')}/api/model_registry"
        self._version = API_VERSIONS[0]
        for self._version in API_VERSIONS:
            if self.find("registered_models", pageSize=1) is not None:
                return
        raise ValueError("it has no API of a Model Registry, and answered 404")

    def find(self, path: str, **query: object) -> Json | None:
        """Gets an object; None if there is none."""
        return self._send("GET", path, params=query, missing_is_none=True)

    def create(self, path: str, content: Json) -> Json:
        """Creates an object."""
        return self._send("POST", path, json=content) or {}

    def update(self, path: str, content: Json) -> Json:
        """Changes fields of an object."""
        return self._send("PATCH", path, json=content) or {}

    def list(self, path: str) -> Iterator[Json]:
        """Lists objects, page by page."""
        page = ""
        while True:
            found = self.find(path, pageSize=_PAGE, nextPageToken=page) or {}
            yield from found.get("items") or ()
            page = found.get("nextPageToken") or ""
            if not page:
                return

    def _send(self, method: str, path: str, missing_is_none: bool = False, **content: Any) -> Json | None:
        answer = requests.request(
            method,
            f"{self._root}/{self._version}/{path}",
            auth=_Token(),
            timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
            **content,
        )
        if missing_is_none and answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        found = answer.json()
        if not isinstance(found, dict):
            raise ValueError("its answer is no JSON object")
        return found


def _find_or_create_model(api: _Api, entry: Registration) -> Json:
    if found := api.find("registered_model", externalId=entry.place):
        return found
    name = name_service(entry.place)
    if api.find("registered_model", name=name):
        # The model of another place has the same name.
        name = f"{name}-{hashlib.sha256(entry.place.encode()).hexdigest()[:_DIGEST_LETTERS]}"
    description = f"Image classifiers published at {entry.place}"
    return api.create("registered_models", {"name": name, "externalId": entry.place, "description": description})


def _create_or_update_version(api: _Api, model: str, entry: Registration) -> Json:
    content: Json = {
        "description": entry.description,
        "customProperties": {name: _to_property(value) for name, value in entry.properties.items()},
    }
    found = api.find("model_version", name=entry.version, parentResourceId=model)
    if not found:
        own = {"name": entry.version, "registeredModelId": model, "author": "headstart"}
        return api.create("model_versions", own | content)
    content["customProperties"] = {**(found.get("customProperties") or {}), **content["customProperties"]}
    return api.update(f"model_versions/{found['id']}", content)


def _add_artifact(api: _Api, version: str, entry: Registration) -> None:
    artifacts = f"model_versions/{version}/artifacts"
    if any(each.get("uri") == entry.artifact for each in api.list(artifacts)):
        return
    source = {"modelSourceKind": "kfp", "modelSourceClass": "pipelinerun", "modelSourceId": entry.run}
    content = {
        "artifactType": "model-artifact",
        "name": entry.version,
        "uri": entry.artifact,
        "modelFormatName": "tensorflow",
        "modelFormatVersion": "2",
    }
    api.create(artifacts, content | (source if entry.run else {}))


def _unmark_others(api: _Api, model: str, champion: str) -> None:
    for each in list(api.list(f"registered_models/{model}/versions")):
        properties = each.get("customProperties") or {}
        if each["name"] != champion and properties.get(CHAMPION_PROPERTY, {}).get("bool_value"):
            changed = {"customProperties": {**properties, CHAMPION_PROPERTY: _to_property(False)}}
            api.update(f"model_versions/{each['id']}", changed)


def _to_property(value: bool | int | float | str) -> Json:
    match value:
        case bool():
            return {"bool_value": value, "metadataType": "MetadataBoolValue"}
        case int():
            return {"int_value": str(value), "metadataType": "MetadataIntValue"}
        case float():
            return {"double_value": value, "metadataType": "MetadataDoubleValue"}
        case _:
            return {"string_value": value, "metadataType": "MetadataStringValue"}


def _explain(error: Exception) -> str:
    """Reason of a failed request in words."""
    match error:
        case requests.Timeout():
            return "it did not answer in time"
        case requests.exceptions.SSLError():
            return "its certificate is not trusted"
        case requests.ConnectionError():
            return "it cannot be reached"
        case requests.HTTPError() if error.response is not None:
            status = error.response.status_code
            return f"it answered {status}" + (f"; set {TOKEN_VARIABLE}" if status in (401, 403) else "")
        case requests.RequestException() | KeyError() | TypeError():
            return "its answer is not that of a Model Registry"
    return first_line(error)
