"""`headstart publish`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.components.core.storage.stores import without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.options import RegistryUrlOption
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.progress.console import say


def publish(
    run: Annotated[Path, typer.Argument(help="Output folder of a run.", show_default=False)],
    uri: Annotated[
        str,
        typer.Argument(
            help="Place where models of this kind are published: a folder, or a gs:// or s3:// address.",
            show_default=False,
        ),
    ],
    export: Annotated[
        list[str] | None,
        typer.Option(
            help="Form to make besides the SavedModel: 'litert', 'litert_int8' or 'onnx'; repeat it for several.",
            metavar="FORM",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest deviation of a probability from the evaluated one.", min=0, max=1)
    ] = 0.01,
    registry_url: RegistryUrlOption = "",
) -> None:
    """Publishes the model of a run in the forms that servers take, and replaces the champion with it.

    Before that it is loaded without this package, and must predict the test images as it was evaluated.
    """
    from headstart.components.core.registry.export_formats import check_packages
    from headstart.components.core.registry.model_registry import check_registry_url
    from headstart.components.core.registry.registry import OVERTAKEN, UNCHANGED
    from headstart.components.publish_model.step import PublicationInputs, publish_model
    from headstart.pipelines.local.output_folder import TEST, TRAIN
    from headstart.pipelines.local.temporary_folder import temporary_folder
    from headstart.pipelines.local.tensorflow_import import hold_back_library_output
    from headstart.pipelines.progress.command_progress import show_command

    with check_options():
        check_packages(export or [])
        check_registry_url(registry_url)
    for part in ("model", "evaluation", TEST):
        if not (run / part).is_dir():
            raise HeadstartError(f"{str(run)!r} has no {part}/: name the output folder of a run that has succeeded")
    train = run / TRAIN
    inputs = PublicationInputs(
        run / "model",
        run / "evaluation",
        run / TEST,
        train if train.is_dir() else None,
        exports=export or [],
        tolerance=tolerance,
    )
    with hold_back_library_output() as console, show_command("publish", console), temporary_folder():
        outcome = publish_model(inputs, uri, registry_url=registry_url)
    if outcome.status == OVERTAKEN:
        raise HeadstartError(
            f"{outcome.replaced} came into use at {uri} in the meantime, and stays; see headstart models show {uri}"
        )
    what = "is in use already" if outcome.status == UNCHANGED else "is in use"
    say(f"{outcome.version} {what}: {outcome.address}")
    if outcome.registered:
        say(f"registered as {outcome.registered} at {without_secrets(registry_url)}")
