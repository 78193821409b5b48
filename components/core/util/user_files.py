"""The reader of all files that people write: settings, recipes, cluster profiles, variants, counts and corrections.

Whatever is wrong with one is told in one line: the file, the key, its value, and the way out.
"""

import typing
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from headstart.components.core.util.did_you_mean import did_you_mean
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.components.core.util.validation import describe_first_error

MAX_BYTES = 64 * 2**20
"""Size of the largest file that is read."""

Model = typing.TypeVar("Model", bound=BaseModel)


def read_user_file(path: str | Path, what: str, pipes: bool = False) -> bytes:
    """Reads a file of at most 64 MiB.

    Args:
        path: Path, which may begin with `~`.
        what: Name of the file in messages, such as ``recipe 'mine.yaml'``.
        pipes: Whether it may be a pipe, as of `<(…)`, which is read to its end.

    Raises:
        HeadstartError: If the file cannot be read, is too large, or is a pipe, a socket or a device.
    """
    file = expand_home(path)
    try:
        if not pipes and file.exists() and not (file.is_file() or file.is_dir()):
            raise HeadstartError(f"{what} is a pipe, a socket or a device; pass a file")
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise HeadstartError(f"{what} cannot be read ({error.strerror}); check the path") from None
    if len(content) > MAX_BYTES:
        raise HeadstartError(f"{what} has more than {MAX_BYTES:,} bytes; pass a smaller file")
    return content


def read_user_text(path: str | Path, what: str, pipes: bool = False) -> str:
    """Reads a UTF-8 file, with a byte order mark or without; see `read_user_file`.

    Raises:
        HeadstartError: If the file cannot be read, or is not UTF-8.
    """
    try:
        return read_user_file(path, what, pipes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HeadstartError(f"{what} is not UTF-8 text; save it as such") from None


def parse_yaml(text: str, what: str, secret: bool = False) -> typing.Any:
    """Parses YAML.

    Args:
        text: YAML.
        what: Name of the text in messages.
        secret: Whether the parser's own words must not be shown, since they may quote a secret of the text.

    Raises:
        HeadstartError: If it is not valid.
    """
    try:
        return yaml.safe_load(text)
    # An impossible date raises a bare ValueError.
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = "" if secret else f": {getattr(error, 'problem', error)}"
        raise HeadstartError(f"{what} is not valid YAML{line}{reason}") from None


def parse_yaml_mapping(text: str, what: str, known: Sequence[str], secret: bool = False) -> dict[str, typing.Any]:
    """Parses YAML that must be a mapping from keys to values; empty text is an empty mapping.

    Args:
        text: YAML.
        what: Name of the text in messages.
        known: Known keys, for the message.
        secret: See `parse_yaml`.

    Raises:
        HeadstartError: If it is not valid, or not a mapping.
    """
    values = parse_yaml(text, what, secret) or {}
    if not isinstance(values, dict):
        raise HeadstartError(f"{what} must have lines of `key: value`; known: {', '.join(known)}")
    return values


def validate(model: type[Model], values: typing.Any, what: str, known: list[str] | None = None) -> Model:
    """Checks values against a pydantic model.

    Args:
        model: Model that forbids unknown keys.
        values: Values, as YAML has them.
        what: Name of the file in messages.
        known: All dotted keys, to suggest one in place of an unknown key; None: the keys beside the unknown one.

    Raises:
        HeadstartError: If a key is unknown, or a value is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise HeadstartError(f"{what}: {_unknown_key(error, model, known) or describe_first_error(error)}") from None


def _unknown_key(error: ValidationError, model: type[BaseModel], known: list[str] | None) -> str:
    """The message about an unknown key; empty if the first error is another one."""
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return ""
    key = ".".join(map(str, first["loc"]))
    if known:
        return f"unknown key {key!r}; {did_you_mean(key, known)}"
    parent = model
    for part in first["loc"][:-1]:
        parent = _model_below(parent, part)
    return f"unknown key {key!r}; {did_you_mean(str(first['loc'][-1]), list(parent.model_fields))}"


def _model_below(model: type[BaseModel], key: str | int) -> type[BaseModel]:
    """The model of the value of a key; of the items, if the key is one of a list's or dictionary's."""
    if key not in model.model_fields:
        return model
    kind = model.model_fields[str(key)].annotation
    inner = (kind, *typing.get_args(kind))
    return next((each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)), model)
