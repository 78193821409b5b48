"""Masking of secrets in addresses among a run's parameters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from headstart.components.core.storage.stores import is_remote, is_web, without_secrets
from headstart.components.core.util.user_files import parse_yaml

_SHORTEST = 6
"""Fewest characters of a part of an address that is masked by itself: `v=1` is no secret."""


def find_secrets(values: Mapping[str, Any]) -> dict[str, str]:
    """Finds addresses that may have a secret, with the text to show in the place of each.

    In a web address any parameter of the query may be one. Libraries name a request by its path and query, without
    the host, so the query alone and the password alone are secrets, too.

    Args:
        values: Parameters of a pipeline, variants and recipes included.

    Returns:
        Text to show by secret, as it is and as JSON has it; the longest first.
    """
    found: dict[str, str] = {}
    for address in _addresses(values):
        found |= dict.fromkeys(_parts(address), "…")
        found[address] = without_secrets(address)
    found |= {_in_json(address): _in_json(shown) for address, shown in found.items()}
    return {address: found[address] for address in sorted(found, key=len, reverse=True) if found[address] != address}


def mask_secrets(value: Any, secrets: Mapping[str, str]) -> Any:
    """Masks secrets in a text, or in all texts of lists and dictionaries.

    Args:
        value: Text, list or dictionary to show.
        secrets: Result of `find_secrets`.
    """
    match value:
        case str():
            for address, shown in secrets.items():
                value = value.replace(address, shown)
            return value
        case list():
            return [mask_secrets(each, secrets) for each in value]
        case dict():
            return {name: mask_secrets(each, secrets) for name, each in value.items()}
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
                # A recipe is a name, or YAML.
                yield from _addresses(parse_yaml(each, name) if name == "recipe" else each)


def _parts(address: str) -> Iterator[str]:
    """Parts of an address that are secret by themselves: query and password, raw and decoded, unless short."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    query = parts.query if is_web(address) else ""
    for part in (query, parts.netloc.rpartition("@")[0].partition(":")[2]):
        yield from (each for each in {part, unquote(part)} if len(each) >= _SHORTEST)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
