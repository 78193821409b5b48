"""KServe manifest of a published version."""

import json
import re
from pathlib import Path

from headstart.components.core.registry.export_formats import SAVED_MODELS
from headstart.components.core.registry.versions import INFERENCE_SERVICE
from headstart.components.core.storage.stores import is_remote

_MAX_NAME_LENGTH = 40
"""Kubernetes allows 63 letters, and KServe appends some."""

_TEMPLATE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    model:
      modelFormat:
        name: tensorflow
      # The default runtime of KServe is too old for some operations of the graph.
      runtimeVersion: {version}
      storageUri: {uri}
"""


def write_inference_service(version: Path, address: str) -> None:
    """Writes a KServe `InferenceService` for a SavedModel that the installed TensorFlow has written.

    Args:
        version: Folder of the version.
        address: Address that the version will be published at.
    """
    import tensorflow as tf

    release = ".".join(tf.__version__.split(".")[:2])
    uri = f"{address if is_remote(address) else Path(address).absolute().as_uri()}/{SAVED_MODELS}"
    # A JSON string is a valid YAML string.
    text = _TEMPLATE.format(name=json.dumps(_name(address)), version=json.dumps(f"{release}.0"), uri=json.dumps(uri))
    (version / INFERENCE_SERVICE).write_text(text, encoding="utf-8")


def _name(address: str) -> str:
    """A valid Kubernetes name made from the model's folder, the one above that of the version."""
    parts = [part for part in address.split("/") if part]
    words = re.sub(r"[^a-z0-9]+", "-", parts[-2].lower() if len(parts) > 1 else "").strip("-")
    name = words if words[:1].isalpha() else f"model-{words}"
    return name[:_MAX_NAME_LENGTH].strip("-")
