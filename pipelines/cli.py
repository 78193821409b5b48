"""The command line: `headstart run`, `headstart compile`, `headstart sample`."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from headstart.components.core.backbones import BACKBONES, get_backbone
from headstart.components.core.errors import HeadstartError
from headstart.components.core.plan import Plan
from headstart.components.download_dataset.step import Settings
from headstart.components.split_dataset.step import Dealing, Shares

app = typer.Typer(
    help="Turn a small folder of labelled pictures into an image classifier you can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Runs the command line; what the user can mend is told in one line, with exit status 1."""
    try:
        app()
    except HeadstartError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def run(
    data: Annotated[
        list[str],
        typer.Option(
            help="Folder of class folders, zip or tar archive, CSV or JSON-lines manifest (image, label), or image "
            "Parquet: a path, or an http(s)://, gs:// or s3:// address. Give it several times for several sources.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="Folder that receives model/, report.html, data.html, metrics.json, predictions.parquet and "
            "quarantine.csv."
        ),
    ] = Path("out"),
    labels: Annotated[
        str,
        typer.Option(
            help="How classes are told: 'auto', 'given' (by manifest or Parquet), 'folders', or 'names' (cat.1.jpg)."
        ),
    ] = "auto",
    max_side: Annotated[
        int, typer.Option(help="Longest side of a picture that is kept, in pixels; larger ones are reduced.")
    ] = 512,
    max_bad_fraction: Annotated[
        float, typer.Option(help="Share of the files that may be left out before the run stops.")
    ] = 0.1,
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            help="SHA-256 that a source has to have; one for each --data, '' where unchecked.", show_default=False
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help=f"Pretrained backbone: {', '.join(BACKBONES)}.")] = "mobilenet_v2",
    weights: Annotated[
        str,
        typer.Option(
            help="The backbone's weights: a file, an http(s)://, gs:// or s3:// address, or 'none'; its own if left "
            "out.",
            show_default=False,
        ),
    ] = "",
    image_size: Annotated[
        int, typer.Option(help="Side in pixels that images are resized to; 0: the backbone's own.")
    ] = 0,
    counts: Annotated[
        str,
        typer.Option(
            help="Images per class for train, validation and test, such as 1000,500,500.", show_default=False
        ),
    ] = "",
    fractions: Annotated[
        str,
        typer.Option(help="Parts of each class for train, validation and test, unless --counts is given."),
    ] = "0.7,0.15,0.15",
    order: Annotated[
        str,
        typer.Option(
            help="How images are dealt out: 'hash' (by content), 'name' (in natural order of their names) or 'given' "
            "(the source's train, validation and test folders)."
        ),
    ] = "hash",
    head_epochs: Annotated[int, typer.Option(help="Epochs of training the head.")] = 20,
    head_learning_rate: Annotated[float, typer.Option(help="Peak learning rate of the head.")] = 1e-3,
    unfreeze_from: Annotated[
        str,
        typer.Option(
            help="First layer or block that is fine-tuned; the backbone's own choice if left out.",
            show_default=False,
        ),
    ] = "",
    fine_tune_epochs: Annotated[int, typer.Option(help="Epochs of fine-tuning.")] = 4,
    fine_tune_learning_rate: Annotated[float, typer.Option(help="Peak learning rate of fine-tuning.")] = 1e-4,
    augmented_views: Annotated[
        int,
        typer.Option(
            help="Recorded views of each training image, one plain, the others augmented; -1: as many as pay."
        ),
    ] = -1,
    batch_size: Annotated[int, typer.Option(help="Images a step of training.")] = 32,
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 0,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Train a small convnet without transfer as well, for comparison."),
    ] = False,
) -> None:
    """Trains and evaluates a classifier on this machine, with the pipeline that a cluster would run."""
    parameters: dict[str, Any] = {
        "data": [each if "://" in each else str(Path(each).expanduser().absolute()) for each in data],
        "labels": labels,
        "max_side": max_side,
        "max_bad_fraction": max_bad_fraction,
        "sha256": sha256 or [],
        "backbone": backbone,
        "weights": str(Path(weights).absolute()) if Path(weights).is_file() else weights,
        "image_size": image_size,
        "counts": _numbers(counts, int, "counts"),
        "fractions": _numbers(fractions, float, "fractions"),
        "order": order,
        "head_epochs": head_epochs,
        "head_learning_rate": head_learning_rate,
        "unfreeze_from": unfreeze_from,
        "fine_tune_epochs": fine_tune_epochs,
        "fine_tune_learning_rate": fine_tune_learning_rate,
        "augmented_views": augmented_views,
        "batch_size": batch_size,
        "seed": seed,
    }
    _check(parameters)

    from headstart.pipelines.display import RunDisplay, show_results
    from headstart.pipelines.run import Interrupted, Request
    from headstart.pipelines.run import run as run_pipeline

    console = Console()
    output = output.expanduser().absolute()
    try:
        with RunDisplay(console, stages=6 if from_scratch else 5) as display:
            metrics = run_pipeline(Request(parameters, from_scratch, output), display)
    except Interrupted as interrupted:
        console.print(f"interrupted by {interrupted}; nothing was added to {output}", markup=False, soft_wrap=True)
        raise typer.Exit(interrupted.exit_status) from None
    show_results(console, metrics, output, _rows(output / "quarantine.csv"))


@app.command(name="compile")
def compile_pipeline(
    output: Annotated[Path, typer.Option(help="The YAML file to write.", show_default=False)],
    image: Annotated[
        str,
        typer.Option(help="Container image of every step; the one of this version if left out.", show_default=False),
    ] = "",
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train a small convnet without transfer as well.")
    ] = False,
) -> None:
    """Compiles the pipeline to YAML, which Kubeflow Pipelines runs."""
    if output.suffix not in (".yaml", ".yml"):
        raise HeadstartError(f"output {str(output)!r} must end in .yaml, as KFP wants it")

    from kfp import compiler

    from headstart.components.image import IMAGE
    from headstart.pipelines.transfer_learning import build_pipeline

    partial = output.with_name(f".{output.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(build_pipeline(image or IMAGE, from_scratch), str(partial))
        partial.replace(output)
    except OSError as error:
        raise HeadstartError(f"output {str(output)!r} cannot be written ({error.strerror})") from None
    typer.echo(output)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where to draw it.", show_default=False)],
    per_class: Annotated[int, typer.Option(help="Pictures of each class.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
) -> None:
    """Draws a sample: cat and dog faces, with a few broken files among them."""
    from headstart.pipelines.sample.write import draw_sample

    draw_sample(folder, per_class, seed)
    typer.echo(folder)


def _numbers(text: str, kind: type[int] | type[float], name: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise HeadstartError(f"{name} {text!r}: give three numbers with commas between them") from None


def _check(parameters: dict[str, Any]) -> None:
    """Refuses before any work what a step would refuse after some of it, by the steps' own checks."""
    backbone = get_backbone(parameters["backbone"])
    backbone.resolve_image_size(parameters["image_size"])
    backbone.check_weights(parameters["weights"])
    Settings(*(parameters[name] for name in ("labels", "max_side", "max_bad_fraction", "sha256")))
    Dealing(Shares(parameters["counts"], parameters["fractions"]), parameters["order"])
    views, batch, seed = (parameters[name] for name in ("augmented_views", "batch_size", "seed"))
    for stage, prefix in (("head", "head"), ("fine_tuning", "fine_tune")):
        rate = parameters[f"{prefix}_learning_rate"]
        Plan(stage, parameters[f"{prefix}_epochs"], rate, views, batch, seed)
    texts = [(name, value) for name, value in parameters.items() if isinstance(value, str)]
    for name, value in [*texts, *(("data", each) for each in parameters["data"])]:
        if "{{" in value or "$(" in value:
            raise HeadstartError(f"{name} {value!r}: KFP substitutes '{{{{' and '$(' in parameters; rename it")


def _rows(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
