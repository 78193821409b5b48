"""Addresses with secrets among a run's parameters, and what may be shown of them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headstart.components.core.stores import is_remote, without_secrets
from headstart.components.core.validation import load_yaml


def secrets_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Each address that carries a secret, as it is and as JSON has it, and what may be shown; the longest first.

    Args:
        values: Parameters of a pipeline, what lies within variants and recipes included.
    """
    found = {address: without_secrets(address) for address in _addresses(values)}
    found |= {_in_json(address): _in_json(shown) for address, shown in found.items()}
    return {address: found[address] for address in sorted(found, key=len, reverse=True) if found[address] != address}


def masked(value: Any, secrets: Mapping[str, str]) -> Any:
    """A text, or all texts in lists and dictionaries, without secrets.

    Args:
        value: What is to be shown.
        secrets: From `secrets_of`.
    """
    match value:
        case str():
            for address, shown in secrets.items():
                value = value.replace(address, shown)
            return value
        case list():
            return [masked(each, secrets) for each in value]
        case dict():
            return {name: masked(each, secrets) for name, each in value.items()}
    return value


def _addresses(value: Any) -> Iterator[str]:
    match value:
        case str() if is_remote(value):
            yield value
        case list():
            for each in value:
                yield from _addresses(each)
        case dict():
            for name, each in value.items():
                # Its name, or its YAML.
                yield from _addresses(load_yaml(each, name) if name == "recipe" else each)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
