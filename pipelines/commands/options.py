"""Options that several commands have."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from headstart.components.core.errors import HeadstartError
from headstart.pipelines.parameters import Parameters
from headstart.pipelines.profile import profile_names

FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Train a small convnet without transfer as well, for comparison.")
]

ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"What pods ask for: {', '.join(profile_names())}, or a file.")
]
RegistryOption = Annotated[
    str,
    typer.Option(
        "--registry", help="What stands before the images' names: registry.example/team.", show_default=False
    ),
]
ImageOption = Annotated[
    str,
    typer.Option("--image", help="Container image of every stage, in place of the profile's.", show_default=False),
]

_FIELDS = Parameters.model_fields

# What a command line shows and takes as one word with commas.
_NUMBERS: dict[Any, type[int] | type[float]] = {list[int]: int, list[float]: float}


def takes_parameters(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each of the pipeline's parameters, in the place of its argument `parameters`.

    Args:
        command: A function whose keyword argument `parameters` is a `Parameters`, checked.
    """

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        parameters = Parameters(**{name: _value(name, field, given.pop(name)) for name, field in _FIELDS.items()})
        parameters.check()
        command(parameters=parameters, **given)

    own = inspect.signature(command, eval_str=True).parameters
    options = [_option(name, field) for name, field in _FIELDS.items()]
    arguments = [*options, *(each for name, each in own.items() if name != "parameters")]
    with_options.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in arguments}
    return with_options


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, default = field.annotation, field.default
    if kind in _NUMBERS:
        kind, default = str, ",".join(map(str, default))
    if name == "data":
        default = inspect.Parameter.empty
    option = typer.Option(help=field.description, show_default=default not in ("", [], inspect.Parameter.empty))
    annotation = Annotated[kind, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _value(name: str, field: FieldInfo, given: Any) -> Any:
    number = _NUMBERS.get(field.annotation)
    if number is None:
        return given
    try:
        return [number(part) for part in given.split(",") if part.strip()]
    except ValueError:
        raise HeadstartError(f"{name} {given!r}: give three numbers with commas between them") from None
