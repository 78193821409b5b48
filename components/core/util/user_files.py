"""Files that the user writes: YAML, and what pydantic finds wrong with it, in one line."""

import typing

import yaml
from pydantic import BaseModel, ValidationError

from headstart.components.core.util.did_you_mean import nearest
from headstart.components.core.util.errors import HeadstartError


def load_yaml(text: str, what: str) -> typing.Any:
    """Reads YAML.

    Args:
        text: The YAML.
        what: Names it in the message.

    Raises:
        HeadstartError: It is no YAML.
    """
    try:
        return yaml.safe_load(text)
    # Of a date that there is not it raises a bare one.
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise HeadstartError(f"{what} is no YAML{line}: {getattr(error, 'problem', error)}") from None


def explain(error: ValidationError, model: type[BaseModel], known: list[str] | None = None) -> str:
    """The first thing that is wrong: the key, what it has, and what it may have.

    Args:
        error: What pydantic raised.
        model: The model that was validated.
        known: All dotted keys, to find the nearest among; left out: those beside the unknown one.
    """
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent = model
        for part in first["loc"][:-1]:
            parent = _model_below(parent, part)
        meant = nearest(key, known) if known else nearest(str(first["loc"][-1]), list(parent.model_fields))
        return f"unknown key {key!r}; {meant}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key} is {first['input']!r}: {message[0].lower()}{message[1:]}"


def _model_below(model: type[BaseModel], key: str | int) -> type[BaseModel]:
    """The model of what lies below a key; of a list's or dictionary's items, where the key is one of theirs."""
    if key not in model.model_fields:
        return model
    kind = model.model_fields[str(key)].annotation
    inner = (kind, *typing.get_args(kind))
    return next((each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)), model)
