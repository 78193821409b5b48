"""Settings of a deployment, checked before anything runs."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from headstart.components.container_image import name_image, refuse_latest
from headstart.components.core.registry.service_name import name_service
from headstart.components.core.storage.stores import is_remote
from headstart.components.core.util.errors import HeadstartError

SERVE_IMAGE = "headstart-serve"
"""Image of the server; name_image adds the version."""

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_QUANTITY = re.compile(r"([0-9]*\.)?[0-9]+(m|[kKMGTPE]|[KMGTPE]i)?")
_MOST_CANARY = 50


@dataclasses.dataclass(frozen=True)
class EndpointSpec:
    """What is to answer at an endpoint.

    Attributes:
        name: Name of the endpoint, and of the model in addresses of requests.
        version: Name of the published version.
        address: Address of the version.
        image: Container image of `headstart serve`.
        replicas: Number of pods; with `max_replicas`, the least number.
        max_replicas: Most pods; 0: always `replicas`.
        precision: Wanted share of right labels, see `headstart serve`; 0: a label for every image.
        cpu: Requested processors of a pod.
        memory: Requested memory of a pod, and its limit.
        service_account: Service account of the pods; empty: the namespace's own.
        secret: Secret whose keys become environment variables of the server; empty: none.
    """

    name: str = ""
    version: str = ""
    address: str = ""
    image: str = SERVE_IMAGE
    replicas: int = 2
    max_replicas: int = 0
    precision: float = 0.0
    cpu: str = "1"
    memory: str = "2Gi"
    service_account: str = ""
    secret: str = ""

    @property
    def scales(self) -> bool:
        """Whether the number of pods changes with the load."""
        return self.max_replicas > self.replicas


@dataclasses.dataclass(frozen=True)
class DeployOptions:
    """Options of a deployment.

    Attributes:
        endpoint: Wanted endpoint, without version and address, which are the champion's; an empty name is that of
            the folder of the models, and an image without a tag that of this version.
        namespace: Namespace; empty: the present one.
        registry: Registry before an image without a slash; empty: none.
        canary: Share in percent of the requests that the new version gets while it is checked; 0: none.
        watch_seconds: Time for which the new version is checked again and again before it is promoted.
        kserve: Whether to use KServe where the cluster has it.
        timeout: Longest time in seconds until pods are ready, and until the endpoint answers by them.
    """

    endpoint: EndpointSpec = dataclasses.field(default_factory=EndpointSpec)
    namespace: str = ""
    registry: str = ""
    canary: int = 0
    watch_seconds: float = 0.0
    kserve: bool = True
    timeout: float = 600.0

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "DeployOptions":
        """Options from inputs of the component `deploy_model`; those that are left out have their defaults."""
        own = {name: value for name, value in inputs.items() if name in _OWN_OPTIONS}
        endpoint = EndpointSpec(**{name: value for name, value in inputs.items() if name not in _OWN_OPTIONS})
        return cls(endpoint, **own)

    def inputs(self) -> dict[str, Any]:
        """The options as inputs of the component `deploy_model`."""
        endpoint = {name: value for name, value in vars(self.endpoint).items() if name not in ("version", "address")}
        return endpoint | {name: getattr(self, name) for name in _OWN_OPTIONS}


_OWN_OPTIONS = tuple(each.name for each in dataclasses.fields(DeployOptions) if each.name != "endpoint")


def resolve_endpoint(publish_uri: str, options: DeployOptions) -> EndpointSpec:
    """Checks the options, and completes the name and the image of the endpoint; version and address stay empty.

    Raises:
        HeadstartError: If an option is not valid.
    """
    given = options.endpoint
    name = given.name or name_service(publish_uri)
    if not _NAME.fullmatch(name):
        raise HeadstartError(
            f"{name!r} is no name for an endpoint: a letter, then letters, digits or '-', 40 at most"
        )
    if not 0 <= options.canary <= _MOST_CANARY:
        raise HeadstartError(f"canary {options.canary} is not a share from 0 to {_MOST_CANARY} percent")
    if given.replicas < 1 or (given.max_replicas and given.max_replicas < given.replicas):
        raise HeadstartError(f"{given.replicas} to {given.max_replicas} replicas make no sense; give 1 or more")
    if not 0 <= given.precision <= 1:
        raise HeadstartError(f"precision {given.precision:g} is not a share from 0 to 1")
    if not (0 <= options.watch_seconds < math.inf and 1 <= options.timeout < math.inf):
        raise HeadstartError(
            f"to watch for {options.watch_seconds:g} s and wait for {options.timeout:g} s makes no sense; give 0 or "
            "more seconds, and 1 or more"
        )
    for what, value in (("cpu", given.cpu), ("memory", given.memory)):
        if not _QUANTITY.fullmatch(value):
            raise HeadstartError(f"{what} {value!r} is not a quantity of Kubernetes; give 500m or 2, 512Mi or 2Gi")
    try:
        image = name_image(refuse_latest(given.image), options.registry)
    except ValueError as error:
        raise HeadstartError(f"image: {error}") from None
    return dataclasses.replace(given, name=name, image=image)


def check_reachable(publish_uri: str) -> None:
    """Refuses an address that pods cannot read.

    Raises:
        HeadstartError: If it is a path of this machine.
    """
    if not is_remote(publish_uri):
        raise HeadstartError(
            f"{publish_uri!r} is a folder of this machine, which pods cannot read; publish to gs:// or s3://"
        )
