"""`headstart learning-rate`."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from headstart.components.core.backbones.table import get_backbone
from headstart.components.core.recipes.resolve import resolve_recipe
from headstart.components.core.training.training_inputs import TrainingInputs
from headstart.components.core.util.errors import raise_unknown_name
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import MACHINE_PANEL, TRAINING_PANEL, takes_parameters
from headstart.pipelines.cli.run import command_line
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.variant_options import SHARED_PARAMETERS, VARIANT_PARAMETERS
from headstart.pipelines.local.interruption import exit_on_interruption
from headstart.pipelines.local.output import check_outside, explain_write_errors
from headstart.pipelines.local.own_process import compute_in_own_process
from headstart.pipelines.local.tensorflow_import import import_tensorflow
from headstart.pipelines.progress.command_progress import show_task
from headstart.pipelines.progress.console import say
from headstart.pipelines.progress.display import RunDisplay

if TYPE_CHECKING:
    from headstart.components.core.reports.learning_rate import RangeTest, RangeTestSettings
    from headstart.components.core.reports.page import PageHeader
    from headstart.components.core.training.training_job import TrainingJob

HEAD, FINE_TUNING, FROM_SCRATCH = "head", "fine_tuning", "from_scratch"
_PHASES = (HEAD, FINE_TUNING, FROM_SCRATCH)


@functools.partial(
    takes_parameters,
    names={*SHARED_PARAMETERS, *VARIANT_PARAMETERS, "record_uri"} - {"checkpoint_uri", "false_alarm", "folds"},
)
def learning_rate(
    *,
    parameters: Parameters,
    stage: Annotated[
        str,
        typer.Option(
            metavar="PHASE",
            help=f"Training phase: {', '.join(_PHASES)}. Before fine-tuning, a head is trained.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = HEAD,
    steps: Annotated[
        int,
        typer.Option(
            help="Number of steps from the lowest rate to the highest; more give a clearer curve.",
            min=20,
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = 100,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives learning_rate.html, the plot, and learning_rate.csv.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("learning-rate"),
) -> None:
    """Finds a learning rate: trains for some steps with a growing rate and plots the loss.

    Everything but the rate is as in `headstart run` with the same options. The trained weights are discarded; the
    features of the images stay in the cache for the run.
    """
    with check_options():
        if stage not in _PHASES:
            raise_unknown_name("stage", stage, list(_PHASES))
        parameters = parameters.resolve_local_paths()

    from headstart.components.core.reports.learning_rate import PAGE, write_range_test
    from headstart.components.list_data.step import RunRequirements, check_requirements
    from headstart.pipelines.local.requirements import check_before_reading

    output = expand_home(output).absolute()
    check_outside(output, parameters.data)
    with explain_write_errors(output, "folder"):
        output.mkdir(parents=True, exist_ok=True)
    check_requirements(RunRequirements(written={"record_uri": parameters.record_uri}))
    check_before_reading(parameters, [] if stage == FROM_SCRATCH else [parameters.read_recipe()])
    if (output / PAGE).exists():
        say(f"replacing the results of an earlier range test in {output}")
    console = Console()
    with (
        exit_on_interruption(console, output),
        compute_in_own_process(console, _list_tasks(stage)) as (folder, display),
    ):
        test, settings = _run_range_test(parameters, stage, steps, folder, display)
        header = _page_header(parameters, stage, folder)

    with explain_write_errors(output, "folder"):
        write_range_test(output, test, settings, header)
    say(test.in_words(), f"plot    {output / PAGE}", f"to use it    --set {settings.recipe_option(test)}")


def _list_tasks(phase: str) -> list[str]:
    """Names of the tasks that `_run_range_test` shows, in order."""
    from headstart.pipelines.local.split_data import SPLITTING_TASKS

    return [*SPLITTING_TASKS, *(["train-head"] if phase == FINE_TUNING else []), "learning-rate"]


def _run_range_test(
    parameters: Parameters, phase: str, steps: int, folder: Path, display: RunDisplay
) -> tuple["RangeTest", "RangeTestSettings"]:
    from headstart.components.core.reports.learning_rate import RangeTestSettings, analyse_range_test
    from headstart.components.train_head.step import train_head
    from headstart.pipelines.local.split_data import make_splits

    recipe = resolve_recipe(parameters.read_recipe())
    train, validation = make_splits(parameters, folder, display)
    inputs = TrainingInputs(train, validation, recipe, parameters.seed, parameters.record_uri)
    import_tensorflow()
    if phase == FINE_TUNING:
        with show_task(display, "train-head"):
            train_head(inputs, folder / HEAD)
    with show_task(display, "learning-rate"), _prepare_job(phase, folder / HEAD, inputs) as job:
        from headstart.components.core.training.range_test import run_range_test

        history = run_range_test(job.trained, job.train_features, job.plan, steps)
    return analyse_range_test(history), RangeTestSettings(
        phase, job.train_info.images, job.plan.training.batch_size, inputs.seed
    )


def _page_header(parameters: Parameters, phase: str, folder: Path) -> "PageHeader":
    from headstart.components.core.artifacts.dataset import read_dataset_info
    from headstart.components.core.artifacts.hygiene import read_hygiene
    from headstart.components.core.reports.learning_rate import KIND
    from headstart.components.core.reports.page import PageHeader, describe_backbone, describe_data, now

    train, recipe = folder / "train", resolve_recipe(parameters.read_recipe())
    return PageHeader(
        KIND,
        now(),
        describe_data(read_hygiene(train), read_dataset_info(train).classes),
        "" if phase == FROM_SCRATCH else describe_backbone(get_backbone(recipe.backbone).name, recipe.image_size),
        command_line(parameters.model_dump()),
    )


@contextlib.contextmanager
def _prepare_job(phase: str, head: Path, inputs: TrainingInputs) -> Iterator["TrainingJob"]:
    from headstart.components.fine_tune.step import prepare_fine_tuning_job
    from headstart.components.train_from_scratch.step import prepare_from_scratch_job
    from headstart.components.train_head.step import prepare_head_job

    if phase == HEAD:
        with prepare_head_job(inputs) as (job, _):
            yield job
    elif phase == FINE_TUNING:
        with prepare_fine_tuning_job(head, inputs) as job:
            yield job
    else:
        with prepare_from_scratch_job(inputs) as job:
            yield job
