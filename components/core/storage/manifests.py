"""Manifests of artifacts, which may come from elsewhere: JSON of a known form, checked before anything relies on it.

A key that is not known is passed over, since a later version may write it.
"""

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from headstart.components.core.storage.files import read_json
from headstart.components.core.util.errors import HeadstartError

T = TypeVar("T")

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


def _distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return names


Names = Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(_distinct)]
"""Names, none of them empty or there twice."""


def read_manifest(path: Path, what: str, kind: type[T], format_name: str = "") -> tuple[T, dict[str, Any]]:
    """Reads a manifest and checks what is in it.

    Args:
        path: The file.
        what: The artifact that it belongs to, for the message.
        kind: A dataclass or a pydantic model of what has to be there. Types are taken strictly.
        format_name: What its key `format` has to say; empty: it has no such key.

    Returns:
        What was checked, and everything that the file has but `format`.

    Raises:
        HeadstartError: If it is missing, no JSON, in another format, or a value is not what it should be.
    """
    values = read_json(path, what)
    if not isinstance(values, dict) or (format_name and values.pop("format", None) != format_name):
        name = f"in the format {format_name}" if format_name else "a JSON object"
        raise HeadstartError(f"{path} is not {name}; make the {what} again")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True), values
    except ValidationError as error:
        raise HeadstartError(f"{path} is damaged ({first_error(error)}); make the {what} again") from None


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong with a manifest: where, and what."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}".strip(": ")
