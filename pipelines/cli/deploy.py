"""`headstart deploy`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from headstart.components.deploy_model.settings import SERVE_IMAGE, DeployOptions, EndpointSpec, check_reachable
from headstart.components.deploy_model.step import (
    DEPLOYED,
    check_deployment,
    deploy_model,
    describe_objects,
    plan_endpoint,
)
from headstart.pipelines.cli.options import PrecisionOption
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.cluster.settings import load_settings
from headstart.pipelines.definitions.endpoint_options import parse_deployment
from headstart.pipelines.progress.console import say, write_text

EXIT_STATUSES = (
    "Exit status: 0 the champion answers; 1 it does not: nothing is published, the cluster refuses, or the new "
    "version was taken back; 2 wrong options."
)


def deploy(
    uri: Annotated[
        str,
        typer.Argument(help="Place where models are published: a gs:// or s3:// address.", show_default=False),
    ],
    name: Annotated[
        str,
        typer.Option(
            help="Name of the endpoint, and of the model in addresses; if left out, the folder of the models.",
            show_default=False,
            metavar="NAME",
        ),
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(
            help="Namespace of the endpoint; if left out, that of kubectl's present context.",
            show_default=False,
            metavar="NAMESPACE",
        ),
    ] = "",
    image: Annotated[
        str,
        typer.Option(help="Container image of the server; without a tag, that of this version.", metavar="IMAGE"),
    ] = SERVE_IMAGE,
    registry: Annotated[
        str,
        typer.Option(
            help="Registry before an image without a slash; if left out, that of headstart.yaml.",
            show_default=False,
            metavar="REGISTRY",
        ),
    ] = "",
    replicas: Annotated[
        int, typer.Option(help="Number of pods; with --max-replicas, the least number.", min=1, metavar="N")
    ] = 2,
    max_replicas: Annotated[
        int, typer.Option(help="Most pods, under load; 0: always --replicas.", min=0, metavar="N")
    ] = 0,
    canary: Annotated[
        int,
        typer.Option(
            help="Share in percent of the requests that a new version gets while it is checked; 0: none.",
            min=0,
            max=50,
            metavar="PERCENT",
        ),
    ] = 0,
    watch: Annotated[
        float,
        typer.Option(
            help="Seconds for which a new version is checked again and again before it is promoted.",
            min=0,
            metavar="SECONDS",
        ),
    ] = 0.0,
    precision: PrecisionOption = 0.0,
    cpu: Annotated[str, typer.Option(help="Processors that a pod requests.", metavar="CPU")] = "1",
    memory: Annotated[str, typer.Option(help="Memory that a pod requests, and its limit.", metavar="MEMORY")] = "2Gi",
    service_account: Annotated[
        str,
        typer.Option(
            help="Service account of the pods, with the right to read the models.", show_default=False, metavar="NAME"
        ),
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            help="Secret whose keys become environment variables of the server, such as AWS_ACCESS_KEY_ID.",
            show_default=False,
            metavar="NAME",
        ),
    ] = "",
    kserve: Annotated[
        bool, typer.Option(help="Use KServe where the cluster has it; otherwise a Deployment with a Service.")
    ] = True,
    timeout: Annotated[
        float, typer.Option(help="Longest time in seconds until pods are ready.", min=1, metavar="SECONDS")
    ] = 600.0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the objects as YAML, and ask no cluster; --no-kserve for a Deployment."
        ),
    ] = False,
) -> None:
    """Puts the champion behind an endpoint of a Kubernetes cluster.

    A new version is started beside the one that answers, must predict what the published SavedModel predicts, and
    only then takes its place. If anything fails, the former version is put back.
    """
    registry = registry or load_settings({}).registry
    endpoint = EndpointSpec(
        name=name, image=image, replicas=replicas, max_replicas=max_replicas, precision=precision, cpu=cpu,
        memory=memory, service_account=service_account, secret=secret,
    )  # fmt: skip
    options = DeployOptions(endpoint, namespace, registry, canary, watch, kserve, timeout)
    if dry_run:
        spec, _ = plan_endpoint(uri, options)
        write_text(describe_objects(spec, kserve))
        return
    check_reachable(uri)
    deploy_champion(uri, options)


def prepare_deployment(deploy: bool, endpoint: Sequence[str] | None, publish_uri: str) -> DeployOptions | None:
    """Reads the values of `--deploy` and `--endpoint` of a command that deploys from this machine at its end.

    Args:
        deploy: Whether the champion is deployed.
        endpoint: Texts `KEY=VALUE`; None: none.
        publish_uri: Address where models are published; empty: nowhere.

    Returns:
        Options of the deployment; None: none is wanted.

    Raises:
        UsageError: If an option is wrong.
        HeadstartError: If no cluster is known or answers, or the endpoint was not made by a deployment.
    """
    with check_options():
        registry = load_settings({}).registry if deploy else ""
        options = parse_deployment(deploy, endpoint or (), publish_uri, registry)
    if options:
        check_deployment(publish_uri, options)
    return options


def deploy_champion(uri: str, options: DeployOptions) -> None:
    """Puts the champion behind an endpoint, and prints its address.

    Args:
        uri: Address where models are published.
        options: Options.

    Raises:
        HeadstartError: If it does not answer; see `deploy_model`.
    """
    from headstart.pipelines.progress.command_progress import show_command

    with show_command("deploy"):
        deployed = deploy_model(uri, options)
    what = "answers" if deployed.status == DEPLOYED else "answers already"
    instead = f" in the place of {deployed.replaced}" if deployed.replaced not in ("", deployed.version) else ""
    say(f"version {deployed.version} {what}{instead}")
    say(deployed.address)
