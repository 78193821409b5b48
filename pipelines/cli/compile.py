"""`headstart compile` and `headstart profiles`."""

import dataclasses
import functools
from pathlib import Path
from typing import Annotated

import typer

from headstart.components.container_image import describe_missing_registry
from headstart.components.core.recipes.variants import FINE_TUNED
from headstart.pipelines.cli.options import (
    TRAINING_PANEL,
    DeployOption,
    EndpointOption,
    FromScratch,
    MethodOption,
    NotifyOption,
    PipelineOption,
    RoundsOption,
    check_pipeline,
    takes_settings,
)
from headstart.pipelines.cli.usage import UsageError, check_options
from headstart.pipelines.cluster.settings import ClusterSettings
from headstart.pipelines.definitions.endpoint_options import parse_deployment
from headstart.pipelines.definitions.given_options import check_method
from headstart.pipelines.definitions.profile import load_profile, profile_names, profile_text
from headstart.pipelines.definitions.search_options import check_rounds
from headstart.pipelines.definitions.tasks import (
    ANY_USE,
    CHOOSE_BACKBONE,
    COMPARE_METHODS,
    DEFAULT_ROUNDS,
    SEARCH_RECIPE,
    TRANSFER_LEARNING,
)
from headstart.pipelines.progress.console import print_table, say, say_error, write_text

_FOLDS_ELSEWHERE = {
    COMPARE_METHODS: "takes the parameter folds as it is",
    CHOOSE_BACKBONE: "cross-validates always",
    SEARCH_RECIPE: "chooses by validation images",
}
"""What other pipelines do in the place of a cross-validation that is compiled in."""


@functools.partial(takes_settings, names=("profile", "registry", "image"))
def compile_pipeline(
    *,
    settings: ClusterSettings,
    output: Annotated[Path, typer.Option(help="The YAML file to write.", show_default=False)],
    method: MethodOption = FINE_TUNED,
    from_scratch: FromScratch = False,
    pipeline: PipelineOption = TRANSFER_LEARNING,
    folds: Annotated[
        bool,
        typer.Option(
            "--folds",
            help="Add the tasks of a cross-validation, for runs whose parameter folds asks for it.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = False,
    deploy: DeployOption = False,
    endpoint: EndpointOption = None,
    rounds: RoundsOption = DEFAULT_ROUNDS,
    notify: NotifyOption = "",
) -> None:
    """Compiles the pipeline to YAML for Kubeflow Pipelines; upload it with `kfp pipeline create`."""
    if output.suffix not in (".yaml", ".yml"):
        raise UsageError(f"output {str(output)!r} must end in .yaml, as KFP requires")
    check_pipeline(pipeline, from_scratch, method)
    if folds and pipeline != TRANSFER_LEARNING:
        instead = _FOLDS_ELSEWHERE[pipeline]
        raise UsageError(f"--folds is for {TRANSFER_LEARNING}; {pipeline} {instead}")
    if rounds != DEFAULT_ROUNDS and pipeline != SEARCH_RECIPE:
        raise UsageError(f"--rounds is for --pipeline {SEARCH_RECIPE}")
    if folds and from_scratch:
        raise UsageError("--folds cross-validates one model; leave --from-scratch out")
    if pipeline != TRANSFER_LEARNING and (deploy or endpoint):
        raise UsageError(f"--deploy is for {TRANSFER_LEARNING}; {pipeline} publishes no model")
    with check_options():
        deployment = parse_deployment(deploy, endpoint or (), None)
        trained = check_method(method)
        uses = dataclasses.replace(ANY_USE, method=trained, folds=folds, deployment=deployment, rounds=rounds)
        check_rounds(rounds)
        profile = load_profile(settings.profile).with_images(settings.registry, settings.image)
        profile = profile.with_notification(notify)

    from headstart.pipelines.definitions.compilation import write_package

    write_package(profile, from_scratch, output, pipeline, uses)
    if warning := describe_missing_registry(profile.images(), "--registry"):
        say_error(f"warning: {warning}")
    say(output)


def profiles(
    name: Annotated[str, typer.Argument(help="Profile whose YAML to show.", show_default=False)] = "",
) -> None:
    """Lists the cluster profiles that come with Headstart, or shows the YAML of one to start your own from."""
    if name:
        with check_options():
            text = profile_text(name)
        write_text(text)
        return
    print_table(("profile", "description"), ((each, load_profile(each).description) for each in profile_names()))
