"""`headstart compare`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from headstart.components.core.recipes.variants import Variant
from headstart.components.core.util.paths import expand_home
from headstart.pipelines.cli.options import takes_choices, takes_parameters
from headstart.pipelines.cli.run import given_command, rows
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.tasks import COMPARE_METHODS, comparison_stages
from headstart.pipelines.definitions.variant_options import (
    DATA,
    DETERMINISTIC,
    TRAINING,
    Choices,
    comparison_parameters,
    on_this_machine,
    variants_of,
)
from headstart.pipelines.local.masking import masked, secrets_of

VARIANTS = "variants.yaml"
"""What was compared, which `--variants` takes back."""


@takes_choices
@functools.partial(takes_parameters, names=(*DATA, *TRAINING, DETERMINISTIC))
def compare(
    *,
    parameters: Parameters,
    choices: Choices,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives comparison.html, comparison.json, variants.yaml, data.html, quarantine.csv, "
            "and for each variant its model, evaluation, report and event files in models/, evaluations/, reports/ "
            "and tensorboard/."
        ),
    ] = Path("comparison"),
) -> None:
    """Trains several models on one split of the data, on this machine, and lays them side by side.

    Without more, the three methods: a small convnet from scratch, a new head on a frozen backbone, the backbone
    fine-tuned as well. `--backbones mobilenet_v2,vgg16` compares these, fine-tuned; `--methods` and `--recipes`
    likewise; several of the three, each with each. Validation images choose, test images compare.
    """
    parameters = parameters.on_this_machine()
    variants = on_this_machine(variants_of(choices, parameters), parameters)

    from headstart.pipelines.local.interruption import interruption_told
    from headstart.pipelines.local.run import COMPARISON, Products, Request
    from headstart.pipelines.local.run import run as run_pipeline
    from headstart.pipelines.progress.display import RunDisplay, show_comparison

    console = Console()
    output = expand_home(output).absolute()
    artifacts = _artifacts(variants) | {COMPARISON: "compare-variants/comparison"}
    products = Products(artifacts, VARIANTS, lambda folder: _variants_file(variants, parameters.seed))
    values = comparison_parameters(variants, parameters)
    values["command"] = given_command(parameters.model_dump() | values)
    stages = len(comparison_stages()) + 2 * (len(variants) - 1)
    with interruption_told(console, output), RunDisplay(console, stages=stages) as display:
        request = Request(values, False, output, products, COMPARE_METHODS)
        comparison = run_pipeline(request, display)
    show_comparison(console, comparison, output, rows(output / "quarantine.csv"))


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


def _variants_file(variants: list[Variant], seed: int) -> str:
    values = [each.model_dump(exclude_defaults=True) | {"method": each.method} for each in variants]
    values = [masked(each, secrets_of(each)) for each in values]
    header = f"# headstart compare --variants {VARIANTS} --seed {seed} ...\n"
    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
