"""`headstart compile` and `headstart profiles`."""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import FromScratch, PipelineOption, check_pipeline, takes_settings
from headstart.pipelines.cluster.settings import Settings
from headstart.pipelines.definitions.profile import load_profile, profile_names, profile_text
from headstart.pipelines.definitions.tasks import TRANSFER_LEARNING


@functools.partial(takes_settings, names=("profile", "registry", "image"))
def compile_pipeline(
    *,
    settings: Settings,
    output: Annotated[Path, typer.Option(help="The YAML file to write.", show_default=False)],
    from_scratch: FromScratch = False,
    pipeline: PipelineOption = TRANSFER_LEARNING,
) -> None:
    """Compiles the pipeline to YAML, which Kubeflow Pipelines runs; upload it with `kfp pipeline create`."""
    if output.suffix not in (".yaml", ".yml"):
        raise HeadstartError(f"output {str(output)!r} must end in .yaml, as KFP wants it")
    check_pipeline(pipeline, from_scratch)
    asked = load_profile(settings.profile).with_images(settings.registry, settings.image)

    from headstart.pipelines.definitions.compilation import write_package

    write_package(asked, from_scratch, output, pipeline)
    if local := [image for image in asked.images() if "/" not in image]:
        typer.echo(
            f"warning: no registry is named before {' and '.join(local)}: a node that does not have the image asks "
            "Docker Hub for it; name your registry with --registry",
            err=True,
        )
    typer.echo(output)


def profiles(
    name: Annotated[str, typer.Argument(help="A profile, to show its YAML.", show_default=False)] = "",
) -> None:
    """Lists the cluster profiles that come with Headstart, or shows the YAML of one, to make your own of it."""
    if name:
        typer.echo(profile_text(name), nl=False)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("profile")
    table.add_column("what it asks for")
    for each in profile_names():
        table.add_row(each, load_profile(each).description)
    Console().print(table)
