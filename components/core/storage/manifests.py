"""The reader of all JSON manifests, which may come from elsewhere: values are checked before anything relies on them.

Unknown keys are ignored, since a later version may write them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.validation import describe_first_error

T = TypeVar("T")

# KFP's cache answers with addresses, and never looks whether anything is still there.
WAY_OUT_OF_CACHE = (
    "on a cluster, where KFP's cache stood in for the step that makes it, the artifact has been deleted from the "
    "store since: submit again with --no-cache"
)

DEEPEST_JSON = 64
"""Levels of lists and dictionaries in JSON from elsewhere; the configuration of a network has some twenty."""

_TOO_DEEP = f"it is nested more than {DEEPEST_JSON} deep"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


def _check_distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return names


Names = Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(_check_distinct)]
"""Names, none of them empty or repeated."""


def read_manifest(path: Path, artifact: str, kind: type[T], format_name: str = "") -> tuple[T, dict[str, Any]]:
    """Reads a manifest and checks its values.

    Args:
        path: JSON file.
        artifact: Artifact that the file belongs to, for the message.
        kind: Dataclass or pydantic model of the required keys. Types are strict: no number is taken for text.
        format_name: Required value of the key `format`; empty: the file has no such key.

    Returns:
        The checked values, and everything in the file except `format`.

    Raises:
        HeadstartError: If the file is missing, is not valid JSON or has another format, or a value is wrong.
    """
    try:
        return parse_manifest(path.read_bytes(), kind, format_name)
    except FileNotFoundError:
        raise HeadstartError(
            f"{path.parent} is not a complete {artifact}: {path.name} is missing; check the path; {WAY_OUT_OF_CACHE}"
        ) from None
    except OSError as error:
        raise HeadstartError(f"{path} cannot be read ({error.strerror}); make the {artifact} again") from None
    except ValueError as error:
        raise HeadstartError(f"{path} {error}; make the {artifact} again") from None


def parse_manifest(content: bytes, kind: type[T], format_name: str = "") -> tuple[T, dict[str, Any]]:
    """Checks the values of a manifest, see `read_manifest`.

    Raises:
        ValueError: If it is not valid JSON, has another format, or a value is wrong. The message continues a
            sentence that begins with the name of the file.
    """
    try:
        values = parse_json(content)
    except ValueError as error:
        raise ValueError(f"is damaged ({error})") from None
    if not isinstance(values, dict):
        raise ValueError("is not a JSON object")
    if format_name and (found := values.pop("format", None)) != format_name:
        raise ValueError(f"is not in the format {format_name}, but in {found!r}")
    try:
        # Only JSON may become tuples and dataclasses where types are strict.
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True), values
    except ValidationError as error:
        raise ValueError(f"is damaged ({describe_first_error(error)})") from None


def parse_json(content: bytes) -> Any:
    """Parses JSON that may come from elsewhere: UTF-8, without NaN and infinity, and not deeply nested.

    Raises:
        ValueError: If it is not valid, or is nested deeper than `DEEPEST_JSON`.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    layer = [value]
    for _ in range(DEEPEST_JSON):
        layer = [each for item in layer if isinstance(item, list | dict) for each in _children(item)]
        if not layer:
            return value
    raise ValueError(_TOO_DEEP)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _children(item: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item
