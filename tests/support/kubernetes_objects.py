"""The example of a plain endpoint, and a check of objects against Kubernetes' own description of their fields.

python tests/support/kubernetes_objects.py, in tests/, writes examples/serving/deployment.yaml anew.
"""

import re
from typing import Any

import yaml
from kubernetes import client

from headstart.components.deploy_model.manifests import VERSION, Manifest, make_plain_objects
from headstart.components.deploy_model.settings import SERVE_IMAGE, EndpointSpec
from headstart.components.deploy_model.step import NoAliases
from support import ROOT

EXAMPLE = ROOT / "examples" / "serving" / "deployment.yaml"
_HEAD = """\
# Serves the champion of gs://example-models/pets to the other pods of its namespace, at http://pets, and follows it.
# The service account `pets-reader` may read that bucket. Written by tests/support/kubernetes_objects.py.
"""


def write_example() -> str:
    """The example: the objects of `headstart deploy`, whose server follows the champion."""
    from headstart import __version__

    spec = EndpointSpec(
        "pets",
        "",
        "gs://example-models/pets",
        f"europe-docker.pkg.dev/example/team/{SERVE_IMAGE}:{__version__}",
        replicas=2,
        max_replicas=6,
        service_account="pets-reader",
    )
    objects = make_plain_objects(spec)
    for each in objects:
        # It serves whichever version is in use.
        del each["metadata"]["labels"][VERSION]
        each["spec"].get("template", {"metadata": {"labels": {VERSION: ""}}})["metadata"]["labels"].pop(VERSION)
    return _HEAD + yaml.dump_all(objects, Dumper=NoAliases, sort_keys=False)


def find_faults(manifest: Manifest) -> list[str]:
    """What is wrong with an object by the models of Kubernetes' client: unknown fields, missing ones, wrong types."""
    kind = manifest["apiVersion"].rpartition("/")[2].capitalize() + manifest["kind"]
    assert hasattr(client, kind), kind
    return list(_find_faults(manifest, kind, manifest["kind"]))


def _find_faults(value: Any, kind: str, place: str) -> Any:
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{place} is not a list"
            return
        for number, each in enumerate(value):
            yield from _find_faults(each, listed[1], f"{place}[{number}]")
    elif mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        for key, each in value.items():
            yield from _find_faults(each, mapped[1], f"{place}.{key}")
    elif kind in ("str", "int", "bool"):
        if type(value).__name__ != kind:
            yield f"{place} is {value!r}, not {kind}"
    elif hasattr(client, kind):
        model = getattr(client, kind)
        fields = {model.attribute_map[name]: each for name, each in model.openapi_types.items()}
        for key, each in value.items():
            if key not in fields:
                yield f"{place} has no field {key!r}"
            else:
                yield from _find_faults(each, fields[key], f"{place}.{key}")


if __name__ == "__main__":
    EXAMPLE.write_text(write_example(), encoding="utf-8")
