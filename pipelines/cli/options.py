"""Options that several commands have."""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE
from headstart.components.core.recipes.variants import FINE_TUNED, HEAD, METHODS
from headstart.components.core.util.errors import HeadstartError, raise_unknown_name
from headstart.components.core.util.user_files import parse_yaml, read_user_text
from headstart.components.split_dataset.settings import parse_class_counts
from headstart.pipelines.cli.usage import UsageError, check_options
from headstart.pipelines.cluster.settings import FILE, SETTINGS, Setting, load_settings
from headstart.pipelines.cluster.timeouts import Timeouts
from headstart.pipelines.definitions.given_options import CLASS_COUNTS, make_parameters
from headstart.pipelines.definitions.parameters import OPTION_NAMES, Parameters, parameter_docs
from headstart.pipelines.definitions.profile import NOTIFICATION_KEY
from headstart.pipelines.definitions.tasks import (
    CHOOSE_BACKBONE,
    COMPARE_METHODS,
    PIPELINES,
    SEARCH_RECIPE,
    TRANSFER_LEARNING,
)
from headstart.pipelines.definitions.variant_options import DETERMINISTIC, VariantChoices

DATA_PANEL, TRAINING_PANEL, EVALUATION_PANEL, PUBLISHING_PANEL = "Data", "Training", "Evaluation", "Publishing"
MACHINE_PANEL, CLUSTER_PANEL = "This machine", "The cluster"
"""Panels of the help: those of commands, and those of their options."""

FromScratch = Annotated[
    bool,
    typer.Option(
        "--from-scratch",
        help="Also train a small convnet without transfer learning, for comparison.",
        rich_help_panel=TRAINING_PANEL,
    ),
]

PrecisionOption = Annotated[
    float,
    typer.Option(
        help="Wanted share of right labels: 0.95 or 0.99; images of which the model is less sure, and unfamiliar "
        "ones, get no label. 0: a label for every image.",
        min=0,
        max=1,
    ),
]

MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help=f"'{FINE_TUNED}' trains a new head and fine-tunes the backbone's top layers, '{HEAD}' trains the head "
        "alone.",
        rich_help_panel=TRAINING_PANEL,
    ),
]

PipelineOption = Annotated[
    str,
    typer.Option(
        "--pipeline",
        metavar="NAME",
        help=f"'{TRANSFER_LEARNING}' trains one model, '{COMPARE_METHODS}' trains several and compares them, "
        f"'{CHOOSE_BACKBONE}' ranks backbones without training, '{SEARCH_RECIPE}' searches for a better recipe and "
        "trains with it.",
        rich_help_panel=TRAINING_PANEL,
    ),
]

BudgetOption = Annotated[
    str,
    typer.Option(
        help="Time for the features of all backbones, such as 90s, 10m or 1h. If it is short, a part of the images "
        "is used; if left out, all are.",
        metavar="TIME",
        show_default=False,
        rich_help_panel=TRAINING_PANEL,
    ),
]

VaryOption = Annotated[
    list[str],
    typer.Option(
        help="Key of the recipe, with its values: KEY=LOW..HIGH or KEY=VALUE,VALUE. Can be given more than once. "
        "If left out, the keys that matter most in fine-tuning vary.",
        metavar="KEY=VALUES",
        show_default=False,
        rich_help_panel=TRAINING_PANEL,
    ),
]

RoundsOption = Annotated[
    int,
    typer.Option(
        help=f"Rounds of trials of {SEARCH_RECIPE}, each of which learns from those before.",
        metavar="N",
        rich_help_panel=TRAINING_PANEL,
    ),
]

NoCache = Annotated[bool, typer.Option("--no-cache", help="Run every task, and take no result of an earlier run.")]

RegistryUrlOption = Annotated[
    str,
    typer.Option(
        "--registry-url",
        metavar="URL",
        help="Kubeflow Model Registry in which the version in use is registered: its http(s):// address, without a "
        "token.",
        show_default=False,
    ),
]

NotifyOption = Annotated[
    str,
    typer.Option(
        "--notify",
        metavar="SECRET",
        help="Notify a webhook of the end of each run, as Slack's are: name of the Kubernetes Secret that has its "
        f"address, and after a slash the key if that is not {NOTIFICATION_KEY!r}. It takes three more pods a run.",
        show_default=False,
        rich_help_panel=CLUSTER_PANEL,
    ),
]

DeployOption = Annotated[
    bool,
    typer.Option(
        "--deploy",
        help="Put the new champion behind an endpoint of the cluster, as headstart deploy does.",
        rich_help_panel=PUBLISHING_PANEL,
    ),
]

EndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="KEY=VALUE",
        help="Option of headstart deploy for the endpoint, such as name=pets, namespace=serving, replicas=3 or "
        "kserve=false; repeat it for several.",
        show_default=False,
        rich_help_panel=PUBLISHING_PANEL,
    ),
]

WebhookOption = Annotated[
    str,
    typer.Option(
        "--notify",
        metavar="URL",
        help="Webhook that is told of the end of the run, as Slack's are; the address is better given as "
        f"{NOTIFY_VARIABLE}, which no list of processes shows.",
        show_default=False,
        rich_help_panel=MACHINE_PANEL,
    ),
]

PluginInputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin-input",
        metavar="PLUGIN.KEY=VALUE",
        help="Input for a plugin of KFP's server, such as mlflow.experiment_name=pets; repeat it for several.",
        show_default=False,
        rich_help_panel=CLUSTER_PANEL,
    ),
]

_FIELDS = Parameters.model_fields
_PANELS = {"data": DATA_PANEL, "training": TRAINING_PANEL, "publishing": PUBLISHING_PANEL}
_PANEL_ORDER = (DATA_PANEL, TRAINING_PANEL, EVALUATION_PANEL, PUBLISHING_PANEL, MACHINE_PANEL)
_EVALUATION_PARAMETERS = ("champion", "false_alarm")
# On this machine they are about it; on a cluster, about the training of a run.
_MACHINE_PARAMETERS = ("record_uri", "checkpoint_uri", "deterministic")
_METAVARS = {
    "data": "SOURCE",
    "labels": "RULE",
    "sha256": "DIGEST",
    "corrections": "FILE",
    "image_column": "NAME",
    "label_column": "NAME",
    "group_column": "NAME",
    "group_from": "REGEX",
    "recipe": "RECIPE",
    "settings": "KEY=VALUE",
    "backbone": "NAME",
    "weights": "FILE",
    "counts": "A,B,C",
    "fractions": "A,B,C",
    "order": "ORDER",
    "tiny_classes": "RULE",
    "folds": "K",
    "record_uri": "PLACE",
    "checkpoint_uri": "PLACE",
    "champion": "MODEL",
    "publish_uri": "PLACE",
    "exports": "FORM",
    "registry_url": "URL",
}
_SETTING_METAVARS = {"host": "ADDRESS", "pipeline_root": "ADDRESS", "registry": "ADDRESS", "timeout": "SECONDS"}
_WAITING_PANEL = "Waiting"
_TIMEOUTS = {
    "interval": "Seconds between two looks at a run.",
    "start_notice": "Seconds that a task may take to start before its requests are shown.",
    "start_timeout": "Seconds that a task may take to start before waiting ends with status 4; 0: no limit.",
    "connection_timeout": "Seconds that a lost connection may take to come back before waiting ends with status 5.",
    "end_timeout": "Seconds that terminated runs may take to end.",
}
FOLLOWING = ("interval", "start_notice", "start_timeout", "connection_timeout")
"""Timeouts that following a run needs."""

_COMPARING_PANEL = "What is compared"
_COMPARED = {
    "methods": f"Methods, separated by commas: {', '.join(METHODS)}.",
    "backbones": "Names of backbones, hub: and a preset, or .keras files, separated by commas.",
    "recipes": "Names or files of recipes, separated by commas.",
}
_VARIANTS = (
    "YAML file with a list of variants, in place of these: name, method, and any of recipe, settings, backbone, "
    "weights, image_size that differs."
)

# Types that the command line shows and reads as one word with commas.
_NUMBERS: dict[Any, type[int] | type[float]] = {list[int]: int, list[float]: float}


def takes_parameters(
    command: Callable[..., None],
    needs_data: bool = True,
    names: Collection[str] = tuple(_FIELDS),
    on_this_machine: bool = True,
) -> Callable[..., None]:
    """Gives a command an option for each of the pipeline's parameters, in the place of its argument `parameters`.

    Args:
        command: Function whose keyword argument `parameters` is a checked `Parameters`.
        needs_data: Whether the command always needs a source of data.
        names: Names of the parameters with an option; the others keep their defaults.
        on_this_machine: Whether the pipeline runs here, and not on a cluster.
    """
    taken = [name for name in _FIELDS if name in names and name != CLASS_COUNTS]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        with check_options():
            parameters = _make_parameters({name: given.pop(_argument_name(name)) for name in taken})
        command(parameters=parameters, **given)

    # The help has the panels in the order in which their first options come.
    shown = sorted(taken, key=lambda name: _PANEL_ORDER.index(_panel_of(name, on_this_machine)))
    options = [_parameter_option(name, needs_data, on_this_machine) for name in shown]
    _replace_argument(with_options, command, "parameters", options)
    return with_options


def _make_parameters(given: dict[str, Any]) -> Parameters:
    """Checked parameters from the values of options, by the names of the parameters."""
    return make_parameters({name: _parse_value(name, value) for name, value in given.items()})


def takes_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command options for the choice of variants, in the place of its argument `choices`.

    Args:
        command: Function whose keyword argument `choices` is a `VariantChoices`.
    """

    @functools.wraps(command)
    def with_options(*, variants: str, **given: Any) -> None:
        lists = {name: split_at_commas(given.pop(name)) for name in _COMPARED}
        command(choices=VariantChoices(**lists, file=variants), **given)

    options = [
        _keyword(
            name,
            Annotated[
                str,
                typer.Option(
                    help=meaning,
                    metavar="FILE" if name == "variants" else "A,B,…",
                    show_default=False,
                    rich_help_panel=_COMPARING_PANEL,
                ),
            ],
            "",
        )
        for name, meaning in (_COMPARED | {"variants": _VARIANTS}).items()
    ]
    _replace_argument(with_options, command, "choices", options)
    return with_options


def split_at_commas(text: str) -> tuple[str, ...]:
    """Words between commas, without blanks around them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def check_pipeline(name: str, from_scratch: bool, method: str = FINE_TUNED) -> None:
    """Refuses an unknown pipeline, and `--from-scratch` or `--method` for one that does not train one model.

    Raises:
        UsageError: If it is one of these.
    """
    with check_options():
        if name not in PIPELINES:
            raise_unknown_name("pipeline", name, list(PIPELINES))
    if name == COMPARE_METHODS and from_scratch:
        raise UsageError(f"--from-scratch is for {TRANSFER_LEARNING}; a comparison has it among its --methods")
    if name == COMPARE_METHODS and method != FINE_TUNED:
        raise UsageError(f"--method is for {TRANSFER_LEARNING}; a comparison takes several with --methods")
    reasons = {CHOOSE_BACKBONE: "trains no network", SEARCH_RECIPE: "trains one model, a head and fine-tuning"}
    if name in reasons and (from_scratch or method != FINE_TUNED):
        flag = "--from-scratch" if from_scratch else "--method"
        raise UsageError(f"{flag} is for {TRANSFER_LEARNING}; {name} {reasons[name]}")


def takes_settings(command: Callable[..., None], names: Collection[str] = tuple(SETTINGS)) -> Callable[..., None]:
    """Gives a command an option for each setting, and `--config`, in the place of its argument `settings`.

    Args:
        command: Function whose keyword argument `settings` is the `ClusterSettings` in force.
        names: Names of the settings with an option.
    """
    taken = {name: each for name, each in SETTINGS.items() if name in names}

    @functools.wraps(command)
    def with_options(*, config: str, **given: Any) -> None:
        with check_options():
            settings = load_settings({name: given.pop(name) for name in taken}, config)
        command(settings=settings, **given)

    flags = [_keyword(name, Annotated[str | None, _setting_option(name, each)], None) for name, each in taken.items()]
    help_text = f"File of settings, in place of {FILE} in the working folder."
    file = typer.Option(help=help_text, metavar="FILE", show_default=False, rich_help_panel=CLUSTER_PANEL)
    _replace_argument(with_options, command, "settings", [_keyword("config", Annotated[str, file], ""), *flags])
    return with_options


def takes_timeouts(command: Callable[..., None], names: Sequence[str]) -> Callable[..., None]:
    """Gives a command options for times to wait, in the place of its argument `timeouts`.

    Args:
        command: Function whose keyword argument `timeouts` is a `Timeouts`.
        names: Names of the timeouts with an option.
    """
    meanings = {name: meaning for name, meaning in _TIMEOUTS.items() if name in names}

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        timeouts = Timeouts(**{name: given.pop(name) for name in meanings})
        command(timeouts=timeouts, **given)

    options = [
        _keyword(
            name,
            Annotated[float, typer.Option(help=meaning, metavar="SECONDS", min=0, rich_help_panel=_WAITING_PANEL)],
            getattr(Timeouts(), name),
        )
        for name, meaning in meanings.items()
    ]
    _replace_argument(with_options, command, "timeouts", options)
    return with_options


def _setting_option(name: str, setting: Setting) -> Any:
    held = f" [dim](default: {setting.default})[/dim]" if setting.default else ""
    text = f"{setting.meaning}{held} [dim][{setting.variable}][/dim]".replace("[HEAD", r"\[HEAD")
    metavar = "TOKEN" if setting.secret else _SETTING_METAVARS.get(name, "NAME")
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=text, metavar=metavar, show_default=False, rich_help_panel=CLUSTER_PANEL)


def _replace_argument(
    wrapper: Callable[..., None], command: Callable[..., None], name: str, options: list[inspect.Parameter]
) -> None:
    """Makes typer see options in the place of an argument of a command."""
    own = inspect.signature(command, eval_str=True).parameters
    arguments = [*options, *(each for each in own.values() if each.name != name)]
    arguments.sort(key=lambda each: each.kind)
    wrapper.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in arguments}


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _argument_name(parameter: str) -> str:
    return OPTION_NAMES[parameter].replace("-", "_")


def _parameter_option(name: str, needs_data: bool, on_this_machine: bool) -> inspect.Parameter:
    kind, default = _FIELDS[name].annotation, _FIELDS[name].default
    if kind in _NUMBERS:
        kind, default = str, ",".join(map(str, default))
    if name == "settings":
        kind, default = list[str], []
    if name == DETERMINISTIC:
        kind, default = bool | None, None
    if name == "data" and needs_data:
        default = inspect.Parameter.empty
    # A flag that is off unless it is given needs no other that switches it off.
    is_flag = default is False
    names = [f"--{OPTION_NAMES[name]}"] if is_flag else []
    show_default = not is_flag and default not in ("", [], None, inspect.Parameter.empty)
    option = typer.Option(
        *names,
        help=parameter_docs()[name].option_help,
        metavar=_METAVARS.get(name),
        show_default=show_default,
        rich_help_panel=_panel_of(name, on_this_machine),
    )
    return _keyword(_argument_name(name), Annotated[kind, option], default)


def _panel_of(name: str, on_this_machine: bool) -> str:
    """Panel of a parameter's option."""
    if name in _EVALUATION_PARAMETERS:
        return EVALUATION_PANEL
    if on_this_machine and name in _MACHINE_PARAMETERS:
        return MACHINE_PANEL
    return _PANELS[parameter_docs()[name].group]


def _parse_value(name: str, given: Any) -> Any:
    if name == "settings":
        return dict(map(_parse_setting, given))
    if name == "counts" and (by_class := _parse_class_counts(given)) is not None:
        return by_class
    number = _NUMBERS.get(_FIELDS[name].annotation)
    if number is None:
        return given
    try:
        return [number(part) for part in given.split(",") if part.strip()]
    except ValueError:
        raise HeadstartError(f"{name} {given!r}: give three numbers with commas between them") from None


def _parse_class_counts(given: str) -> dict[str, list[int]] | None:
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


def _parse_setting(given: str) -> tuple[str, Any]:
    key, equals, value = given.partition("=")
    if not equals:
        raise HeadstartError(f"--set {given!r}: give KEY=VALUE, such as head.epochs=5")
    return key, parse_yaml(value, f"the value of --set {given!r}")
