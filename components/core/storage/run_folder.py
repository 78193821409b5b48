"""The folder in which the tasks of a run on a cluster leave their artifacts."""

import os

from headstart.components.core.storage.stores import Tree, open_tree, scheme_of
from headstart.components.core.util.errors import HeadstartError

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_S3"
_ENDPOINTS = (ENDPOINT_VARIABLE, "AWS_ENDPOINT_URL")


def open_run_folder(address: str, way_out: str) -> Tree:
    """Opens the folder of a run.

    Args:
        address: Path, or `gs://`, `s3://` or `minio://` address; the last is a store of the cluster, whose endpoint
            the environment names.
        way_out: Way out where it names none.

    Raises:
        HeadstartError: If the environment names no endpoint or no credentials that can be used, or the client of the
            store is not installed.
    """
    if scheme_of(address) == "minio":
        # The address does not say whose store it is. Without an endpoint, its bucket would be looked for at Amazon.
        rest = address.partition("://")[2]
        if not any(map(os.environ.get, _ENDPOINTS)):
            raise HeadstartError(f"minio://{rest.split('/')[0]} is a store of the cluster; {way_out}")
        address = f"s3://{rest}"
    return open_tree(address)
