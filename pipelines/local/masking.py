"""Addresses with secrets among a run's parameters, and what may be shown of them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from headstart.components.core.storage.stores import is_remote, is_web, without_secrets
from headstart.components.core.util.user_files import parse_yaml

_SHORTEST = 6
"""Characters that a part of an address has to have to be masked by itself: `v=1` stands for nothing."""


def secrets_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Each address that may carry a secret, as it is and as JSON has it, and what may be shown; the longest first.

    On the web the value of any parameter may be one. Libraries name a request by its path and query, without the
    host, so the query alone and the password alone are secrets, too.

    Args:
        values: Parameters of a pipeline, what lies within variants and recipes included.
    """
    found: dict[str, str] = {}
    for address in _addresses(values):
        found |= dict.fromkeys(_parts(address), "…")
        found[address] = without_secrets(address)
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
                yield from _addresses(parse_yaml(each, name) if name == "recipe" else each)


def _parts(address: str) -> Iterator[str]:
    """What of an address is secret by itself: its query and its password, as they are and decoded, unless short."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    query = parts.query if is_web(address) else ""
    for part in (query, parts.netloc.rpartition("@")[0].partition(":")[2]):
        yield from (each for each in {part, unquote(part)} if len(each) >= _SHORTEST)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
