"""Options of the endpoint that a run deploys its new champion to, from texts `KEY=VALUE`."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.validation import describe_first_error
from headstart.components.deploy_model.settings import DeployOptions, check_reachable, resolve_endpoint

_DEFAULTS = DeployOptions().inputs()
_INPUTS = {"watch" if name == "watch_seconds" else name.replace("_", "-"): name for name in _DEFAULTS}
"""Inputs of the component `deploy_model` by key; keys are the options of `headstart deploy`."""


def parse_deployment(
    deploy: bool, given: Sequence[str], publish_uri: str | None, registry: str = ""
) -> DeployOptions | None:
    """Reads the values of `--deploy` and `--endpoint`.

    Args:
        deploy: Whether the champion is deployed.
        given: Texts `KEY=VALUE`; a later one of the same key wins.
        publish_uri: Address where the run publishes; empty: it does not; None: each run of a compiled pipeline says.
        registry: Registry before the image of the server, where none is given.

    Returns:
        Options of the deployment; None: none is wanted.

    Raises:
        HeadstartError: If a key is unknown, a value is wrong, or pods cannot read the address.
    """
    if not deploy:
        if given:
            raise HeadstartError(f"--endpoint {given[0]!r} has no use without --deploy; add it, or leave this out")
        return None
    if publish_uri is not None:
        if not publish_uri:
            raise HeadstartError("--deploy takes a published model; say where with --publish gs://bucket/models/pets")
        check_reachable(publish_uri)
    inputs: dict[str, Any] = {"registry": registry}
    for each in given:
        key, equals, text = each.partition("=")
        if not equals:
            raise HeadstartError(f"--endpoint {each!r}: give KEY=VALUE, such as replicas=3")
        if key not in _INPUTS:
            raise HeadstartError(f"--endpoint {each!r}: unknown key {key!r}; {did_you_mean(key, list(_INPUTS))}")
        if "{{" in text or "$(" in text:
            raise HeadstartError(f"--endpoint {each!r}: KFP substitutes '{{{{' and '$(' in parameters; rename it")
        try:
            inputs[_INPUTS[key]] = TypeAdapter(type(_DEFAULTS[_INPUTS[key]])).validate_python(text)
        except ValidationError as error:
            raise HeadstartError(f"--endpoint {each!r}: {describe_first_error(error)}") from None
    options = DeployOptions.of(inputs)
    # Where a run says the address, it gives the name that is left out; any other stands for it here.
    resolve_endpoint(publish_uri or "gs://bucket/models", options)
    return options
