"""Types and defaults of parameters, keys and fields, in words."""

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from site_pages.markdown import code

_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    type(None): "`null`",
    dict: "object",
    list: "list",
    tuple: "list",
    Any: "anything",
}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def name_type(kind: Any, limits: Iterable[Any] = ()) -> str:
    """A type in words, with its limits.

    Args:
        kind: Type, as an annotation has it.
        limits: What pydantic keeps of `Annotated`.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return name_type(arguments[0], [*arguments[1:], *limits])
    bounds = sorted({text for limit in limits for text in _bounds(limit)}, key=lambda text: text[0] in "≤<")
    suffix = f" {', '.join(bounds)}" if bounds else ""
    if origin is Literal:
        return ", ".join(code(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(name_type(each, limits) for each in arguments))
    if origin in (list, tuple) and arguments:
        return f"list of {name_type(arguments[0])}"
    if origin is dict and len(arguments) == 2:
        return f"object of {name_type(arguments[1])}"
    word = _WORDS.get(kind) or _WORDS.get(origin) or code(getattr(kind, "__name__", kind))
    return word + suffix


def _bounds(limit: Any) -> list[str]:
    """Limits of a value, such as `≥ 0`; a `Field` has several."""
    inner = getattr(limit, "metadata", None)
    if inner:
        return [text for each in inner for text in _bounds(each)]
    values = {sign: getattr(limit, name, None) for name, sign in _LIMITS.items()}
    return [f"{sign} {value}" for sign, value in values.items() if value is not None]
