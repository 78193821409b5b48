"""`headstart evaluate`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headstart.components.core.util.paths import expand_home
from headstart.components.select_test_images.step import REFUSE, UNKNOWN_CLASSES
from headstart.pipelines.cli.options import EVALUATION_PANEL, MACHINE_PANEL, takes_parameters
from headstart.pipelines.cli.run import command_line, count_rows
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import EVALUATE_IMAGES, EVALUATION_TASKS
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.progress.console import say

_PARAMETERS = (
    *("data", "labels", "class_level", "max_bad_fraction", "sha256", "corrections", "image_column", "label_column"),
    *("group_column", "group_from"),
)


@functools.partial(takes_parameters, names=_PARAMETERS)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Output folder of a run, folder of a model, published version, or place where models are published: "
            "a path, or an http(s)://, gs:// or s3:// address.",
            show_default=False,
        ),
    ],
    *,
    parameters: Parameters,
    unknown_classes: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Treatment of images of classes that the model does not know: 'refuse' or 'leave_out'.",
            rich_help_panel=EVALUATION_PANEL,
        ),
    ] = REFUSE,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives report.html, data.html, evaluation/, metrics.json, predictions.parquet, "
            "quarantine.csv and evaluated.yaml.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("evaluated"),
) -> None:
    """Evaluates a trained model on labelled images that it has not seen, on this machine.

    Images that it was trained or tuned on are left out and counted. Its own temperature and abstention thresholds are
    applied; nothing is fitted to these images.
    """
    from headstart.components.core.registry.model_files import find_model
    from headstart.components.core.util.errors import raise_unknown_name
    from headstart.components.download_dataset.step import DownloadSettings
    from headstart.pipelines.local.interruption import exit_on_interruption
    from headstart.pipelines.local.output_folder import check_output, list_evaluation_products
    from headstart.pipelines.local.run import RunRequest
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_evaluation

    with check_options():
        if unknown_classes not in UNKNOWN_CLASSES:
            raise_unknown_name("treatment of unknown classes", unknown_classes, list(UNKNOWN_CLASSES))
        parameters = parameters.resolve_data_paths()
    address, info = find_model(model)
    values = parameters.model_dump(include=set(_PARAMETERS)) | {
        "model_uri": address,
        "max_side": info.max_side or DownloadSettings.max_side,
        "ranges": {form: list(pair) for form, pair in (info.ranges or {}).items()},
        "unknown_classes": unknown_classes,
    }
    values["command"] = command_line(values)
    console = Console()
    output = expand_home(output).absolute()
    products = list_evaluation_products(mask_secrets(address, find_secrets(values)))
    if previous := check_output(output, products, parameters.data):
        say(f"replacing {previous}", console=console)
    with exit_on_interruption(console, output), RunDisplay(console, EVALUATION_TASKS) as display:
        metrics = run_pipeline(RunRequest(values, False, output, products, EVALUATE_IMAGES), display)
    show_evaluation(console, metrics, output, count_rows(output / "quarantine.csv"))
