"""`headstart compare`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from headstart.components.core.notifications.notification import SUCCEEDED, Notification
from headstart.components.core.notifications.webhook import find_webhook, show_host
from headstart.components.core.recipes.variants import Variant
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import MACHINE_PANEL, WebhookOption, takes_choices, takes_parameters
from headstart.pipelines.cli.run import command_line, count_rows
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import COMPARE_METHODS, comparison_task_names
from headstart.pipelines.definitions.variant_options import (
    DETERMINISTIC,
    SHARED_PARAMETERS,
    VARIANT_PARAMETERS,
    VariantChoices,
    comparison_parameters,
    make_variants,
    resolve_variant_paths,
)
from headstart.pipelines.local.masking import find_secrets, mask_secrets
from headstart.pipelines.progress.console import say

VARIANTS = "variants.yaml"
"""Compared variants, in the form that `--variants` takes."""


@takes_choices
@functools.partial(takes_parameters, names=(*SHARED_PARAMETERS, *VARIANT_PARAMETERS, DETERMINISTIC))
def compare(
    *,
    parameters: Parameters,
    choices: VariantChoices,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives comparison.html, comparison.json, variants.yaml, data.html, quarantine.csv, "
            "and for each variant its model, evaluation, report and event files in models/, evaluations/, reports/ "
            "and tensorboard/.",
            rich_help_panel=MACHINE_PANEL,
        ),
    ] = Path("comparison"),
    notify: WebhookOption = "",
) -> None:
    """Trains several models on one split of the data, on this machine, and compares them.

    By default it compares the three methods: a small convnet from scratch, a new head on a frozen backbone, and the
    backbone fine-tuned as well. `--backbones mobilenet_v2,vgg16` compares these, fine-tuned; likewise `--methods` and
    `--recipes`. Several of these options are combined, each with each. The best is chosen by validation images, and
    compared on test images.
    """
    with check_options():
        parameters = parameters.resolve_local_paths()
        variants = resolve_variant_paths(make_variants(choices, parameters), parameters)
        webhook = find_webhook(notify)

    from headstart.pipelines.local.interruption import exit_on_interruption
    from headstart.pipelines.local.notification import notified
    from headstart.pipelines.local.output_folder import COMPARISON, Products, check_output
    from headstart.pipelines.local.requirements import check_before_reading
    from headstart.pipelines.local.run import RunRequest
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_comparison

    console = Console()
    output = expand_home(output).absolute()
    artifacts = _artifacts(variants) | {COMPARISON: "compare-variants/comparison"}
    products = Products(
        artifacts, VARIANTS, lambda folder: _variants_file(variants, parameters.seed), _pages(variants)
    )
    values = comparison_parameters(variants, parameters)
    secrets = parameters.model_dump() | values
    ended = Notification(SUCCEEDED, COMPARE_METHODS, str(output), see=str(output / "comparison.html"))
    with exit_on_interruption(console, output), notified(webhook, ended, secrets, console) as notice:
        previous = check_output(output, products, parameters.data)
        trainings = [variant.load_recipe() for variant in variants if variant.method != "from_scratch"]
        check_before_reading(parameters, trainings)
        if previous:
            say(f"replacing {previous}", console=console)
        values["command"] = command_line(secrets, {notify: show_host(webhook)} if notify else {})
        with RunDisplay(console, _list_tasks(variants)) as display:
            request = RunRequest(values, False, output, products, COMPARE_METHODS)
            comparison = run_pipeline(request, notice.forward_to(display))
        show_comparison(console, comparison, output, count_rows(output / "quarantine.csv"))


def _list_tasks(variants: list[Variant]) -> list[str]:
    """Names of all tasks, those of a variant with its name, in the order in which they run on this machine."""
    *first, train, evaluate, last = comparison_task_names()
    return [*first, *(f"{task} {each.name}" for each in variants for task in (train, evaluate)), last]


def _artifacts(variants: list[Variant]) -> dict[str, str]:
    found = {}
    for number, variant in enumerate(variants):
        inside = f"for-loop-1-iteration-{number}"
        found[f"models/{variant.name}"] = f"{inside}/train-variant/model"
        found[f"evaluations/{variant.name}"] = f"{inside}/evaluate-model/evaluation"
        found[f"reports/{variant.name}.html"] = f"{inside}/evaluate-model/report"
        found[f"tensorboard/{variant.name}"] = f"{inside}/train-variant/tensorboard"
    return found | {
        "comparison.html": "compare-variants/report",
        "data.html": "download-dataset/hygiene",
        "quarantine.csv": "download-dataset/dataset/quarantine.csv",
    }


def _pages(variants: list[Variant]) -> dict[str, str]:
    reports = {f"reports/{each.name}.html": f"Report of {each.name}" for each in variants}
    return {"comparison.html": "Comparison", "data.html": "Data"} | reports


def _variants_file(variants: list[Variant], seed: int) -> str:
    values = [each.model_dump(exclude_defaults=True) | {"method": each.method} for each in variants]
    values = [mask_secrets(each, find_secrets(each)) for each in values]
    header = f"# headstart compare --variants {VARIANTS} --seed {seed} ...\n"
    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
