"""Deployments of a version: what its endpoints predicted when they were checked.

    URI/VERSION/deployments.json

It lies beside the files of the version. These stay as they were published, and no checksum covers this one.
"""

import dataclasses

from headstart.components.core.storage.atomic import json_bytes
from headstart.components.core.storage.manifests import Count, Finite, parse_manifest
from headstart.components.core.storage.stores import Conflict, NotFound, Tree, open_tree
from headstart.components.core.storage.stores.tree import check_name
from headstart.components.core.util.errors import HeadstartError

DEPLOYMENTS_JSON = "deployments.json"
DEPLOYMENTS_FORMAT = "headstart-deployments/1"

_MOST = 100
"""Checks that are kept, the latest."""

_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class EndpointCheck:
    """Comparison of an endpoint with the SavedModel of the version, on drawn images.

    Attributes:
        when: Time of the check in UTC, as ISO 8601.
        endpoint: Address for requests, as pods of the cluster see it.
        images: Number of images compared.
        same_label: Number of images with the same label; an endpoint that abstains gives some images none.
        largest_difference: Largest difference of a probability.
        tolerance: Largest allowed difference.
    """

    when: str
    endpoint: str
    images: Count
    same_label: Count
    largest_difference: Finite
    tolerance: Finite


@dataclasses.dataclass(frozen=True)
class _DeploymentsFile:
    checks: list[EndpointCheck]


def read_deployments(uri: str, version: str) -> list[EndpointCheck]:
    """Reads the checks of a version's endpoints, the latest last; none if it was not deployed.

    Args:
        uri: Folder, or `gs://` or `s3://` address, where models are published.
        version: Name of the version.

    Raises:
        HeadstartError: If they cannot be read.
    """
    return _read(open_tree(uri), version)[0]


def record_deployment(uri: str, version: str, check: EndpointCheck) -> None:
    """Adds a check to those of a version.

    Args:
        uri: Folder, or `gs://` or `s3://` address, where models are published.
        version: Name of the version.
        check: The check.

    Raises:
        HeadstartError: If the checks cannot be read or written.
    """
    tree = open_tree(uri)
    for attempt in range(_ATTEMPTS):
        before, token = _read(tree, version)
        checks = [dataclasses.asdict(each) for each in [*before, check][-_MOST:]]
        try:
            tree.replace(_name(version), json_bytes({"format": DEPLOYMENTS_FORMAT, "checks": checks}), token)
            return
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise


def _read(tree: Tree, version: str) -> tuple[list[EndpointCheck], str]:
    """The checks of a version and the version token of their file; none and empty if there is no such file."""
    name = _name(version)
    try:
        content, token = tree.read(name)
    except NotFound:
        return [], ""
    try:
        file, _ = parse_manifest(content, _DeploymentsFile, DEPLOYMENTS_FORMAT)
    except ValueError as error:
        raise HeadstartError(f"{tree.address}/{name} {error}; delete it, which loses the checks") from None
    return file.checks, token


def _name(version: str) -> str:
    return check_name(f"{version}/{DEPLOYMENTS_JSON}")
