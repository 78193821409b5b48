"""`headstart choose-backbone`."""

import functools
from typing import Annotated

import typer
from rich.console import Console

from headstart.pipelines.cli.options import TRAINING_PANEL, BudgetOption, split_at_commas, takes_parameters
from headstart.pipelines.cli.run import run_command
from headstart.pipelines.cli.usage import check_options, parse_duration
from headstart.pipelines.definitions.backbone_options import CHOICE_PARAMETERS, candidate_parameters
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.own_process import compute_in_own_process
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.display import show_ranking

_OWN_OPTIONS = ("--backbones", "--budget")


@functools.partial(takes_parameters, names=CHOICE_PARAMETERS)
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
    budget: BudgetOption = "",
) -> None:
    """Ranks backbones on your images in little time, and says which one to take.

    Features are computed once for each backbone. Ridge regression in five folds, near-duplicates and groups kept
    whole, gives each its log loss and accuracy on training and validation images. Test images are not used.
    """
    with check_options():
        seconds = parse_duration("--budget", budget) if budget else 0.0
        wanted = candidate_parameters(split_at_commas(backbones), parameters)
        wanted = [each.resolve_local_paths() for each in wanted]

    from headstart.components.list_data.step import RunRequirements, check_requirements
    from headstart.pipelines.local.backbone_choice import assess_backbones, list_tasks
    from headstart.pipelines.local.requirements import check_before_reading

    check_requirements(RunRequirements(written={"record_uri": parameters.record_uri}))
    for each in wanted:
        check_before_reading(each, [each.read_recipe()])
    console = Console()
    try:
        with compute_in_own_process(console, list_tasks(wanted)) as (folder, display):
            ranking = assess_backbones(wanted, seconds, folder, display)
    except Interrupted as interrupted:
        say(f"interrupted by {interrupted}", console=console)
        raise typer.Exit(interrupted.exit_status) from None
    chosen = ["--backbone", ranking.chosen]
    show_ranking(console, ranking, run_command("choose-backbone", _OWN_OPTIONS, chosen, parameters))
