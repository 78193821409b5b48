"""Inputs for the plugins of KFP's API server, such as the one that logs runs to MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.user_files import parse_yaml

PluginInputs = Mapping[str, Mapping[str, Any]]
"""Values by plugin and key."""

_KNOWN: Mapping[str, Mapping[str, type]] = {
    "mlflow": {"experiment_name": str, "experiment_id": str, "disabled": bool},
}
"""Keys of plugins that come with KFP 2.17, with the types of their values; the server refuses others."""


def parse_plugin_inputs(given: Sequence[str]) -> PluginInputs:
    """Reads values of `--plugin-input`.

    Args:
        given: Texts `PLUGIN.KEY=VALUE`, the value as YAML; a later one of the same key wins.

    Raises:
        HeadstartError: If one has another form, or a plugin that comes with KFP has no such key or no such value.
    """
    inputs: dict[str, dict[str, Any]] = {}
    for each in given:
        name, equals, text = each.partition("=")
        plugin, dot, key = name.partition(".")
        if not (equals and dot and plugin and key):
            raise HeadstartError(
                f"--plugin-input {each!r}: give PLUGIN.KEY=VALUE, such as mlflow.experiment_name=pets"
            )
        inputs.setdefault(plugin, {})[key] = _check(each, plugin, key, text)
    return inputs


def _check(given: str, plugin: str, key: str, text: str) -> Any:
    where = f"the value of --plugin-input {given!r}"
    known = _KNOWN.get(plugin)
    if known is None:
        return parse_yaml(text, where)
    if key not in known:
        raise HeadstartError(f"--plugin-input {given!r}: unknown key {key!r}; {did_you_mean(key, list(known))}")
    if known[key] is str:
        if not text.strip():
            raise HeadstartError(f"--plugin-input {given!r}: {key} is empty; give a name, or leave it out")
        return text
    value = parse_yaml(text, where)
    if not isinstance(value, known[key]):
        raise HeadstartError(f"--plugin-input {given!r}: {key} must be true or false")
    return value
