"""`headstart search`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headstart.components.core.recipes.recipe import dump_recipe
from headstart.components.core.recipes.search_space import check_optuna, check_space, parse_dimension
from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.components.core.reports.search_words import (
    conclude_search,
    describe_trial,
    list_best_trials,
    trial_titles,
    write_found_recipe,
)
from headstart.components.core.storage.stores import is_local, open_tree
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import MACHINE_PANEL, TRAINING_PANEL, VaryOption, takes_parameters
from headstart.pipelines.cli.run import run_command
from headstart.pipelines.cli.usage import check_options, parse_duration
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import SHARED_PARAMETERS, VARIANT_PARAMETERS
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.output import check_outside, open_output
from headstart.pipelines.local.own_process import compute_in_own_process
from headstart.pipelines.progress.console import print_table, say

_RECIPE, _VARIED = "recipe.yaml", "varied.yaml"
_LEFT_OUT = ("--budget", "--vary", "--output", "--trials", "--recipe", "--set", "--image-size")
"""Options that a run does not have, or that the recipe which was found stands for."""

_SETTINGS = {"backbone": "--backbone", "weights": "--weights"}
"""Options by the keys of a recipe that they set; where such a key varies, the option would undo what was found."""


@functools.partial(
    takes_parameters,
    names={*SHARED_PARAMETERS, *VARIANT_PARAMETERS, "record_uri"} - {"checkpoint_uri", "false_alarm", "folds"},
)
def search(
    *,
    parameters: Parameters,
    budget: Annotated[
        str,
        typer.Option(
            help="Time, such as 90s, 30m or 2h, after which no trial begins; earlier calls do not count.",
            metavar="TIME",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = "30m",
    vary: VaryOption = [],  # noqa: B006 - typer reads it
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives recipe.yaml, varied.yaml with the recipe that was varied, and the trials "
            "unless --trials names another place.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("search"),
    trials: Annotated[
        str,
        typer.Option(
            help="Folder, or gs:// or s3:// address, of trials. A search with the same options goes on from there.",
            metavar="PLACE",
            show_default=False,
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = "",
) -> None:
    """Searches for a better recipe on your images: trains with one after another, and validation images choose.

    The first trial is the recipe as it is, so the one that is found is never worse on the validation images. Test
    images are not used: train with the recipe that is found, and the run evaluates it on them, once.
    """
    with check_options():
        check_optuna()
        seconds = parse_duration("--budget", budget)
        space = [parse_dimension(each) for each in vary] or None
        parameters.check()
        check_space(space or [], parameters.read_recipe())
        parameters = parameters.resolve_local_paths()
        output = expand_home(output).absolute()
        check_outside(output, parameters.data)
        place = trials or str(output)
        if is_local(place):
            place = str(expand_home(Path(place)).absolute())
            check_outside(Path(place), parameters.data)
        tree = open_tree(place)

    from headstart.components.list_data.step import RunRequirements, check_requirements
    from headstart.pipelines.local.recipe_search import TASKS, SearchRequest, search_recipe
    from headstart.pipelines.local.requirements import check_before_reading

    check_requirements(RunRequirements(written={"record_uri": parameters.record_uri}))
    check_before_reading(parameters, [parameters.read_recipe()])
    console = Console()
    request = SearchRequest(parameters, space, seconds, tree)
    try:
        with compute_in_own_process(console, TASKS) as (folder, display):
            result = search_recipe(request, folder, display, lambda each: say(describe_trial(each), console=console))
    except Interrupted as interrupted:
        say(
            f"interrupted by {interrupted}; the trials that have ended are in {tree.address}, and the same command "
            "goes on from there",
            console=console,
        )
        raise typer.Exit(interrupted.exit_status) from None
    for name, text in ((_RECIPE, write_found_recipe(result)), (_VARIED, dump_recipe(result.varied.redact()))):
        with open_output(output / name) as file:
            file.write(text.encode())
    print_table(trial_titles(), list_best_trials(result), console)
    say(*conclude_search(result), console=console)
    left_out = {*_LEFT_OUT, *(option for key, option in _SETTINGS.items() if key in result.best.settings)}
    if result.best is not result.default:
        both = f"{output / _VARIED},{output / _RECIPE}"
        compared = ["--methods", FINE_TUNED, "--recipes", both, "--output", str(output / "compared")]
        other = run_command("search", left_out | {"--record-uri"}, compared, parameters, "compare")
        say(f"to compare it  {other}", console=console)
    added = ["--recipe", str(output / _RECIPE)]
    say(f"to train it    {run_command('search', left_out, added, parameters)}", console=console)
