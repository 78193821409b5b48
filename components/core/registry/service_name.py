"""Name of a model in a cluster."""

import re

_MAX_NAME_LENGTH = 40
"""Kubernetes allows 63 letters, and KServe appends some."""


def name_service(uri: str) -> str:
    """A valid Kubernetes name made from the folder in which a model is published.

    Args:
        uri: Folder, or `gs://` or `s3://` address, where models are published.

    Example:
        >>> name_service("gs://bucket/models/Pets 2"), name_service("s3://bucket/2026")
        ('pets-2', 'model-2026')
    """
    parts = [part for part in uri.split("/") if part]
    words = re.sub(r"[^a-z0-9]+", "-", parts[-1].lower() if parts else "").strip("-")
    name = words if words[:1].isalpha() else f"model-{words}"
    return name[:_MAX_NAME_LENGTH].strip("-")
