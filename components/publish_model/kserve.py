"""KServe manifest of a published version."""

import json
from pathlib import Path

from headstart.components.core.registry.export_formats import SAVED_MODELS
from headstart.components.core.registry.service_name import name_service
from headstart.components.core.registry.versions import INFERENCE_SERVICE
from headstart.components.core.storage.stores import is_remote

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
    name, runtime = json.dumps(name_service(address.rpartition("/")[0])), json.dumps(f"{release}.0")
    text = _TEMPLATE.format(name=name, version=runtime, uri=json.dumps(uri))
    (version / INFERENCE_SERVICE).write_text(text, encoding="utf-8")
