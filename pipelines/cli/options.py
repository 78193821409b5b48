"""Options that several commands have."""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from headstart.components.core.recipes.variants import METHODS
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml, read_user_text
from headstart.components.split_dataset.step import parse_class_counts
from headstart.pipelines.cluster.patience import Patience
from headstart.pipelines.cluster.settings import FILE, SETTINGS, Setting, load_settings
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import COMPARE_METHODS, PIPELINES, TRANSFER_LEARNING
from headstart.pipelines.definitions.variant_options import DETERMINISTIC, Choices

FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Train a small convnet without transfer as well, for comparison.")
]

PipelineOption = Annotated[
    str,
    typer.Option(
        "--pipeline",
        help=f"'{TRANSFER_LEARNING}' trains one model, '{COMPARE_METHODS}' several, and lays them side by side.",
    ),
]

NoCache = Annotated[bool, typer.Option("--no-cache", help="Take no stage's result from an earlier run.")]

_FIELDS = Parameters.model_fields
_SETTINGS_PANEL = "The cluster"
_WAITING_PANEL = "Waiting"
_PATIENCE = {
    "interval": "Seconds between two looks at a run.",
    "start_notice": "Seconds that a stage may take to start before what it asks for is shown.",
    "start_timeout": "Seconds that a stage may take to start before waiting ends with status 4; 0: for ever.",
    "connection_timeout": "Seconds that a lost connection may take to come back before waiting ends with status 5.",
    "end_timeout": "Seconds that runs which are being terminated may take to end.",
}
FOLLOWING = ("interval", "start_notice", "start_timeout", "connection_timeout")
"""What following a run looks at."""

_COMPARING_PANEL = "What is compared"
_COMPARED = {
    "methods": f"With commas: {', '.join(METHODS)}.",
    "backbones": "Names of backbones, with commas.",
    "recipes": "Names or files of recipes, with commas.",
}
_VARIANTS = (
    "YAML file with a list of variants, in place of these: name, method, and what differs of recipe, settings, "
    "backbone, weights, image_size."
)

FLAGS = {"settings": "set", "publish_uri": "publish", "exports": "export"}
"""Parameters that have another name on the command line."""

CLASS_COUNTS = "class_counts"
"""The parameter that `--counts` sets where it has numbers for each class."""

# What a command line shows and takes as one word with commas.
_NUMBERS: dict[Any, type[int] | type[float]] = {list[int]: int, list[float]: float}


def takes_parameters(
    command: Callable[..., None], needs_data: bool = True, names: Collection[str] = tuple(_FIELDS)
) -> Callable[..., None]:
    """Gives a command an option for each of the pipeline's parameters, in the place of its argument `parameters`.

    Args:
        command: A function whose keyword argument `parameters` is a `Parameters`, checked.
        needs_data: Whether the command never works without a source of data.
        names: Those that it has an option for; others keep their defaults.
    """
    fields = {name: field for name, field in _FIELDS.items() if name in names}

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        values = {
            name: _value(name, field, given.pop(FLAGS.get(name, name)))
            for name, field in fields.items()
            if name != CLASS_COUNTS
        }
        if isinstance(counts := values.get("counts"), dict):
            values |= {"counts": [], CLASS_COUNTS: counts}
        if values.get(DETERMINISTIC) is False:
            # KFP's parameter of that name leaves it to the recipe then.
            values["settings"] |= {DETERMINISTIC: False}
        parameters = Parameters(**{name: value for name, value in values.items() if value is not None})
        parameters = parameters.with_recipe_inside()
        parameters.check()
        command(parameters=parameters, **given)

    _replace(
        with_options,
        command,
        "parameters",
        [_option(name, field, needs_data) for name, field in fields.items() if name != CLASS_COUNTS],
    )
    return with_options


def takes_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command options for what is to be compared, in the place of its argument `choices`.

    Args:
        command: A function whose keyword argument `choices` is a `Choices`.
    """

    @functools.wraps(command)
    def with_options(*, variants: str, **given: Any) -> None:
        lists = {name: _words(given.pop(name)) for name in _COMPARED}
        command(choices=Choices(**lists, file=variants), **given)

    options = [
        _keyword(
            name,
            Annotated[str, typer.Option(help=meaning, show_default=False, rich_help_panel=_COMPARING_PANEL)],
            "",
        )
        for name, meaning in (_COMPARED | {"variants": _VARIANTS}).items()
    ]
    _replace(with_options, command, "choices", options)
    return with_options


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def check_pipeline(name: str, from_scratch: bool) -> None:
    """Refuses a pipeline that there is not, and a comparison that is to train from scratch besides.

    Raises:
        HeadstartError: It is one of these.
    """
    if name not in PIPELINES:
        raise_unknown_name("pipeline", name, list(PIPELINES))
    if name == COMPARE_METHODS and from_scratch:
        raise HeadstartError(f"--from-scratch is for {TRANSFER_LEARNING}; a comparison has it among its --methods")


def takes_settings(command: Callable[..., None], names: Collection[str] = tuple(SETTINGS)) -> Callable[..., None]:
    """Gives a command an option for each setting, and `--config`, in the place of its argument `settings`.

    Args:
        command: A function whose keyword argument `settings` is the `Settings` in force.
        names: Those that it has an option for.
    """
    taken = {name: each for name, each in SETTINGS.items() if name in names}

    @functools.wraps(command)
    def with_options(*, config: str, **given: Any) -> None:
        settings = load_settings({name: given.pop(name) for name in taken}, config)
        command(settings=settings, **given)

    flags = [_keyword(name, Annotated[str | None, _setting_option(name, each)], None) for name, each in taken.items()]
    help_text = f"File of settings, in place of {FILE} in the working folder."
    file = typer.Option(help=help_text, show_default=False, rich_help_panel=_SETTINGS_PANEL)
    _replace(with_options, command, "settings", [_keyword("config", Annotated[str, file], ""), *flags])
    return with_options


def takes_patience(command: Callable[..., None], names: Sequence[str]) -> Callable[..., None]:
    """Gives a command options for how long it waits for what, in the place of its argument `patience`.

    Args:
        command: A function whose keyword argument `patience` is a `Patience`.
        names: The fields that it looks at.
    """
    meanings = {name: meaning for name, meaning in _PATIENCE.items() if name in names}

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        patience = Patience(**{name: given.pop(name) for name in meanings})
        command(patience=patience, **given)

    options = [
        _keyword(
            name,
            Annotated[float, typer.Option(help=meaning, min=0, rich_help_panel=_WAITING_PANEL)],
            getattr(Patience(), name),
        )
        for name, meaning in meanings.items()
    ]
    _replace(with_options, command, "patience", options)
    return with_options


def _setting_option(name: str, setting: Setting) -> Any:
    held = f" [dim](default: {setting.default})[/dim]" if setting.default else ""
    text = f"{setting.meaning}{held} [dim][{setting.variable}][/dim]".replace("[HEAD", r"\[HEAD")
    return typer.Option(f"--{name.replace('_', '-')}", help=text, show_default=False, rich_help_panel=_SETTINGS_PANEL)


def _replace(
    wrapper: Callable[..., None], command: Callable[..., None], name: str, options: list[inspect.Parameter]
) -> None:
    """Makes typer see options in the place of one argument of a command."""
    own = inspect.signature(command, eval_str=True).parameters
    arguments = [*options, *(each for each in own.values() if each.name != name)]
    arguments.sort(key=lambda each: each.kind)
    wrapper.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in arguments}


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(name: str, field: FieldInfo, needs_data: bool) -> inspect.Parameter:
    kind, default = field.annotation, field.default
    if kind in _NUMBERS:
        kind, default = str, ",".join(map(str, default))
    if name == "settings":
        kind, default = list[str], []
    if name == DETERMINISTIC:
        kind, default = bool | None, None
    if name == "data" and needs_data:
        default = inspect.Parameter.empty
    option = typer.Option(help=field.description, show_default=default not in ("", [], None, inspect.Parameter.empty))
    return _keyword(FLAGS.get(name, name), Annotated[kind, option], default)


def _value(name: str, field: FieldInfo, given: Any) -> Any:
    if name == "settings":
        return dict(map(_setting, given))
    if name == "counts" and (by_class := _counts_by_class(given)) is not None:
        return by_class
    number = _NUMBERS.get(field.annotation)
    if number is None:
        return given
    try:
        return [number(part) for part in given.split(",") if part.strip()]
    except ValueError:
        raise HeadstartError(f"{name} {given!r}: give three numbers with commas between them") from None


def _counts_by_class(given: str) -> dict[str, list[int]] | None:
    """Counts by class, where `--counts` is a mapping, or a file of one; None where it is anything else."""
    where = f"--counts {given!r}"
    if given.strip().startswith("{"):
        values = parse_yaml(given, "the value of --counts")
    elif Path(given).suffix in (".yaml", ".yml", ".json"):
        values = parse_yaml(read_user_text(given, where, pipes=True), where)
    else:
        return None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise HeadstartError(
            f"{where} is no mapping from classes to numbers; write {{cat: [100,20,20], dog: [300,50,50]}}, and names "
            "of classes that are numbers, yes or no in quotes"
        )
    return parse_class_counts(values)


def _setting(given: str) -> tuple[str, Any]:
    key, equals, value = given.partition("=")
    if not equals:
        raise HeadstartError(f"--set {given!r}: give KEY=VALUE, such as head.epochs=5")
    return key, parse_yaml(value, f"the value of --set {given!r}")
