"""`headstart search`."""

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headstart.components.core.recipes.recipe import dump_recipe
from headstart.components.core.recipes.search_space import check_space, parse_dimension, read_setting
from headstart.components.core.storage.stores import is_local, open_tree
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import MACHINE_PANEL, TRAINING_PANEL, takes_parameters
from headstart.pipelines.cli.run import run_command
from headstart.pipelines.cli.usage import check_options, parse_duration
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import SHARED_PARAMETERS, VARIANT_PARAMETERS
from headstart.pipelines.local.interruption import Interrupted
from headstart.pipelines.local.output import check_outside, open_output
from headstart.pipelines.local.own_process import compute_in_own_process
from headstart.pipelines.progress.console import print_table, say

if TYPE_CHECKING:
    from headstart.pipelines.local.recipe_search import SearchResult
    from headstart.pipelines.local.search_trials import Trial

_RECIPE = "recipe.yaml"
_LEFT_OUT = ("--budget", "--vary", "--output", "--trials", "--recipe", "--set", "--image-size")
"""Options that a run does not have, or that the recipe which was found stands for."""

_SHOWN = 5
_INCOMPLETE = ("pruned", "failed")


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
    vary: Annotated[
        list[str],
        typer.Option(
            help="Key of the recipe, with its values: KEY=LOW..HIGH or KEY=VALUE,VALUE. Can be given more than once. "
            "If left out, the keys that matter most in fine-tuning vary.",
            metavar="KEY=VALUES",
            show_default=False,
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = [],  # noqa: B006 - typer reads it
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives recipe.yaml, and the trials unless --trials names another place.",
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
        if importlib.util.find_spec("optuna") is None:
            raise HeadstartError("search needs optuna, not installed here: pip install 'headstart[search]'")
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
            result = search_recipe(request, folder, display, lambda each: say(_describe(each), console=console))
    except Interrupted as interrupted:
        say(
            f"interrupted by {interrupted}; the trials that have ended are in {tree.address}, and the same command "
            "goes on from there",
            console=console,
        )
        raise typer.Exit(interrupted.exit_status) from None
    with open_output(output / _RECIPE) as file:
        file.write(_write_recipe(result).encode())
    _print_trials(result, console)
    say(*_conclude(result), console=console)
    added = ["--recipe", str(output / _RECIPE)]
    say(f"to train it    {run_command('search', _LEFT_OUT, added, parameters)}", console=console)


def _write_recipe(result: "SearchResult") -> str:
    number, images = result.best.number, result.validation_images
    head = f"# Trial {number} of {len(result.trials)}, chosen by its loss on {images:,} validation images.\n"
    return head + dump_recipe(result.recipe.redact())


def _describe(trial: "Trial") -> str:
    found = f"trial {trial.number}: "
    if trial.loss is not None and trial.accuracy is not None:
        return f"{found}val loss {trial.loss:.4f}, accuracy {trial.accuracy:.4f}, {trial.seconds:.0f} s"
    if trial.state == "pruned":
        return f"{found}pruned, the head's val loss is {trial.head_loss:.4f}, {trial.seconds:.0f} s"
    return f"{found}failed: {trial.error}"


def _print_trials(result: "SearchResult", console: Console) -> None:
    """Prints the best trials, and the recipe as it is, with the settings that differ from it."""
    complete = sorted((each for each in result.trials if each.loss is not None), key=lambda each: each.loss or 0.0)
    shown = [each for rank, each in enumerate(complete) if rank < _SHOWN or not each.settings]
    rows = [
        (
            str(each.number),
            f"{each.loss:.4f}",
            f"{each.accuracy:.4f}",
            f"{each.seconds:.0f} s",
            ", ".join(
                f"{key.rpartition('.')[2]} {value}"
                for key, value in each.settings.items()
                if value != read_setting(result.varied, key)
            )
            or "the recipe as it is",
        )
        for each in shown
    ]
    print_table(("trial", "val loss", "accuracy", "time", "settings"), rows, console)


def _conclude(result: "SearchResult") -> list[str]:
    """Sentences on the search: its trials, what was found, and what the figures are worth."""
    trials, best = result.trials, result.best
    counts = {"trials": len(trials), **{word: sum(each.state == word for each in trials) for word in _INCOMPLETE}}
    lines = [", ".join(f"{count} {word}" for word, count in counts.items() if count)]
    default = next(each for each in trials if not each.settings)
    if best is default:
        return [*lines, "no recipe had a lower loss on the validation images than the one that was varied"]
    assert best.loss is not None and default.loss is not None  # noqa: S101 - both are complete
    return [
        *lines,
        f"the best has a loss of {best.loss:.4f} on the {result.validation_images:,} validation images, "
        f"{default.loss:.4f} before; they chose it, so its gain on other images is smaller",
        "to measure that, compare both recipes on the test images: headstart compare --recipes",
    ]
