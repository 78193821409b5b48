"""`headstart choose-backbone`."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headstart.components.core.storage.files import explain_full_disk
from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import TRAINING_PANEL, takes_parameters
from headstart.pipelines.cli.run import run_command
from headstart.pipelines.cli.usage import check_options, parse_duration
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import SHARED_PARAMETERS, VARIANT_PARAMETERS
from headstart.pipelines.local.interruption import Interrupted, raise_on_signals
from headstart.pipelines.local.temporary_folder import temporary_folder
from headstart.pipelines.local.tensorflow_import import hold_back_library_output
from headstart.pipelines.progress.command_progress import show_logged_progress
from headstart.pipelines.progress.console import print_table, say
from headstart.pipelines.progress.display import RunDisplay

if TYPE_CHECKING:
    from headstart.components.core.metrics.backbone_ranking import RankedBackbone
    from headstart.pipelines.local.backbone_choice import Choice

_OWN_OPTIONS = ("--backbones", "--budget")
_TITLES = (
    "backbone",
    "log loss",
    "minus the best's",
    "accuracy",
    "minus the best's",
    "parameters",
    "images/s",
    "time",
)


@functools.partial(
    takes_parameters,
    names={*SHARED_PARAMETERS, *VARIANT_PARAMETERS, "record_uri"}
    - {"checkpoint_uri", "false_alarm", "folds", "backbone", "weights"},
)
def choose_backbone(
    *,
    parameters: Parameters,
    backbones: Annotated[
        str,
        typer.Option(
            help="Backbones to choose from, separated by commas: names, hub: presets, .keras files, or addresses.",
            metavar="A,B,…",
            show_default=False,
            rich_help_panel=TRAINING_PANEL,
        ),
    ],
    budget: Annotated[
        str,
        typer.Option(
            help="Time for the features of all backbones, such as 90s, 10m or 1h. If it is short, a part of the "
            "images is used; if left out, all are.",
            metavar="TIME",
            show_default=False,
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = "",
) -> None:
    """Ranks backbones on your images in little time, and says which one to take.

    Features are computed once for each backbone. Ridge regression in five folds, near-duplicates and groups kept
    whole, gives each its log loss and accuracy on training and validation images. Test images are not used.
    """
    with check_options():
        seconds = parse_duration("--budget", budget) if budget else 0.0
        names = _split_names(backbones)
        wanted = [parameters.model_copy(update={"backbone": name}) for name in names]
        for each in wanted:
            each.check()
        wanted = [each.resolve_local_paths() for each in wanted]

    from headstart.components.core.metrics.backbone_ranking import rank_backbones
    from headstart.components.list_data.step import RunRequirements, check_requirements
    from headstart.pipelines.local.backbone_choice import assess_backbones, list_tasks
    from headstart.pipelines.local.requirements import check_before_reading

    check_requirements(RunRequirements(written={"record_uri": parameters.record_uri}))
    for each in wanted:
        check_before_reading(each, [each.read_recipe()])
    console = Console()
    try:
        with (
            raise_on_signals(),
            temporary_folder() as folder,
            hold_back_library_output(),
            explain_full_disk(),
            RunDisplay(console, list_tasks(wanted)) as display,
            show_logged_progress(display),
        ):
            choice = assess_backbones(wanted, seconds, folder, display)
    except Interrupted as interrupted:
        say(f"interrupted by {interrupted}", console=console)
        raise typer.Exit(interrupted.exit_status) from None
    ranked = rank_backbones(choice.assessments)
    print_table(_TITLES, map(_describe, ranked), console)
    say(*_conclude(ranked, choice), console=console)
    chosen = ["--backbone", without_secrets(_chosen_name(ranked))]
    say(f"to train it    {run_command('choose-backbone', _OWN_OPTIONS, chosen, parameters)}", console=console)


def _split_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise HeadstartError(f"--backbones {text!r}: name two or more, each once, such as mobilenet_v2,resnet50")
    return names


def _describe(backbone: "RankedBackbone") -> Sequence[str]:
    found, comparison = backbone.assessment, backbone.comparison
    loss = accuracy = "best"
    if comparison:
        loss = _difference(comparison.log_loss_difference, comparison.log_loss_interval)
        accuracy = _difference(comparison.accuracy_difference, comparison.accuracy_interval)
    return (
        without_secrets(found.name),
        f"{backbone.log_loss:.4f}",
        loss,
        f"{backbone.accuracy:.4f}",
        accuracy if comparison else "",
        f"{found.parameters / 1e6:.1f} M",
        f"{found.images_per_second:,.0f}",
        f"{found.seconds:.0f} s",
    )


def _difference(value: float | None, interval: tuple[float, float] | None) -> str:
    return f"{value:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})" if value is not None and interval else ""


def _chosen_name(ranked: Sequence["RankedBackbone"]) -> str:
    from headstart.components.core.metrics.backbone_ranking import choose_smallest

    return choose_smallest(ranked).assessment.name


def _conclude(ranked: Sequence["RankedBackbone"], choice: "Choice") -> list[str]:
    """Sentences on the ranking: its images, which backbones cannot be told apart, and which one to take."""
    best, *others = (without_secrets(each.assessment.name) for each in ranked)
    alike, worse = (
        [name for name, each in zip(others, ranked[1:], strict=True) if each.may_be_best is alike]
        for alike in (True, False)
    )
    part = "all" if choice.images == choice.available else f"{choice.images:,} of"
    lines = [
        f"on {part} {choice.available:,} training and validation images, predicted out of fold; 95 % intervals",
        f"{best} has the lowest log loss",
    ]
    if worse:
        lines.append(f"shown to be worse: {', '.join(worse)}")
    if alike:
        lines.append(
            f"cannot be told apart from it: {', '.join(alike)}; the smallest of these is "
            f"{without_secrets(_chosen_name(ranked))}, take that"
        )
    if choice.kept:
        lines.append("the features of a run with these options are in the cache now")
    return lines
