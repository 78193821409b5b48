"""What pydantic finds wrong with a file, in one line: the key, its value, and what it may be."""

from pydantic import ValidationError

_LONGEST_VALUE = 60


def describe_first_error(error: ValidationError) -> str:
    """The first error: dotted key, value, and what is wrong with it, such as ``epochs is 0: input should be …``."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key or 'it'} is {_shorten(repr(first['input']))}: {message[0].lower()}{message[1:]}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
