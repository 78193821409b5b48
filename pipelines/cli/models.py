"""`headstart models`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from headstart.components.core.registry import registry
from headstart.components.core.registry.deployments import EndpointCheck, read_deployments
from headstart.components.core.registry.model_registry import check_registry_url, register
from headstart.components.core.registry.versions import Version, VersionFacts
from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cli.command_classes import Command, make_app
from headstart.pipelines.cli.deploy import deploy_champion, prepare_deployment
from headstart.pipelines.cli.options import DeployOption, EndpointOption, RegistryUrlOption
from headstart.pipelines.cli.usage import check_options
from headstart.pipelines.progress.command_progress import show_command
from headstart.pipelines.progress.console import print_table, say, write_text

app = make_app(help="Published models at an address, and the one in use.")

Uri = Annotated[
    str,
    typer.Argument(
        help="Place where models are published: a folder, or a gs:// or s3:// address.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on a terminal too, as elsewhere.")]

_SECONDS = 19
"""Length of a time in ISO 8601 up to the seconds."""


@app.command(name="list", cls=Command)
def list_models(uri: Uri, as_json: AsJson = False) -> None:
    """Lists every published version, and marks the one in use."""
    with show_command("models list"):
        found = registry.list_versions(uri)
        checks, unread = _read_checks(uri, [each.version for each in found.versions])
    if not found.versions and not found.damaged:
        raise HeadstartError(
            f"no model is published at {without_secrets(uri)}; check the address, or publish the model of a run: "
            f"headstart publish out {without_secrets(uri)}"
        )
    if as_json or not Console().is_terminal:
        rows = [_without_files(each) | _describe_checks(checks, each.version) for each in found.versions]
        rows += [{"version": name, "damaged": why} for name, why in found.damaged.items()]
        _show_json([{"in_use": row["version"] == found.in_use, **row} for row in rows])
        return

    def mark(version: str) -> str:
        return "yes" if version == found.in_use else ""

    table = [
        (each.version, mark(each.version), _to_seconds(each.created), *_format_facts(each.facts))
        for each in reversed(found.versions)
    ]
    print_table(
        ("version", "in use", "published (UTC)", *_FACTS),
        [*table, *((name, mark(name), "damaged") for name in found.damaged)],
    )
    say(*found.damaged.values(), *unread)
    for version, of_version in reversed(checks.items()):
        if of_version:
            say(f"{version} was deployed: {_describe_check(of_version[-1])}")


@app.command(cls=Command)
def show(uri: Uri, as_json: AsJson = False) -> None:
    """Shows the version in use, and every earlier one."""
    with show_command("models show"):
        in_use = registry.read_champion(uri)
        checks, unread = _read_checks(uri, [in_use.version.version] if in_use else [])
    if as_json or not Console().is_terminal:
        shown = in_use and dataclasses.asdict(in_use) | _describe_checks(checks, in_use.version.version)
        _show_json(shown)
        return
    if in_use is None:
        say(f"nothing is published at {uri}")
        return
    facts = in_use.version.facts
    lines = [f"version  {in_use.version.version}", f"address  {in_use.address}", f"model    {in_use.model}"]
    lines += [f"classes  {', '.join(facts.classes)}", f"sha256   {facts.model} (model.keras)"]
    lines += [f"data     {digest} ({split})" for split, digest in facts.data.items()]
    say(*lines)
    print_table(
        ("when (UTC)", "version", "how", "replaced", *_FACTS),
        (
            (_to_seconds(each.when), each.version, each.how, each.replaced or "-", *_format_facts(each.facts))
            for each in reversed(in_use.history)
        ),
    )
    say(*unread)
    for check in reversed(checks.get(in_use.version.version, [])):
        say(f"deployed {_describe_check(check)}")


@app.command(cls=Command)
def rollback(
    uri: Uri,
    version: Annotated[
        str,
        typer.Argument(help="Name of the version; if left out, the one before the present one.", show_default=False),
    ] = "",
    deploy: DeployOption = False,
    endpoint: EndpointOption = None,
    registry_url: RegistryUrlOption = "",
) -> None:
    """Puts an earlier version back in use."""
    with check_options():
        check_registry_url(registry_url)
    deployment = prepare_deployment(deploy, endpoint, uri)
    with show_command("models rollback"):
        in_use = registry.roll_back(uri, version)
    say(f"{in_use.version.version} is in use in the place of {in_use.history[-1].replaced}: {in_use.address}")
    if registry_url:
        try:
            _register(uri, registry_url)
        except HeadstartError as error:
            say(f"warning: {error}")
    if deployment:
        deploy_champion(uri, deployment)
    elif is_remote(uri):
        say(f"an endpoint of headstart deploy follows by: headstart deploy {without_secrets(uri)}")


def _read_checks(uri: str, versions: Sequence[str]) -> tuple[dict[str, list[EndpointCheck]], list[str]]:
    """Checks of the endpoints of versions by version, and what is wrong with those that cannot be read."""
    checks: dict[str, list[EndpointCheck]] = {}
    unread = []
    for version in versions:
        try:
            checks[version] = read_deployments(uri, version)
        except HeadstartError as error:
            unread.append(str(error))
    return checks, unread


def _describe_checks(checks: Mapping[str, Sequence[EndpointCheck]], version: str) -> dict[str, Any]:
    return {"deployments": [dataclasses.asdict(each) for each in checks.get(version, ())]}


def _describe_check(check: EndpointCheck) -> str:
    return (
        f"{_to_seconds(check.when)} {check.endpoint}: {check.same_label} of {check.images} drawn images labelled "
        f"alike, probabilities within {check.largest_difference:.1e} of the SavedModel's"
    )


@app.command(name="register", cls=Command)
def register_model(
    uri: Uri,
    url: Annotated[
        str,
        typer.Argument(help="Kubeflow Model Registry: its http(s):// address, without a token.", show_default=False),
    ],
) -> None:
    """Registers the version in use in Kubeflow's Model Registry, or brings it up to date there."""
    with check_options():
        check_registry_url(url)
    _register(uri, url)


def _register(uri: str, url: str) -> None:
    with show_command("models register"):
        model = register(url, uri)
    say(f"registered as {model} at {without_secrets(url)}")


_FACTS = ("accuracy", "95 % interval", "images", "data", "run")
_DIGEST_LETTERS = 12


def _format_facts(facts: VersionFacts) -> tuple[str, ...]:
    low, high = facts.accuracy_interval
    data = facts.data.get("train", "-")[:_DIGEST_LETTERS]
    return f"{facts.accuracy:.3f}", f"{low:.3f} to {high:.3f}", f"{facts.images:,}", data, facts.run or "-"


def _to_seconds(moment: str) -> str:
    return moment[:_SECONDS].replace("T", " ")


def _without_files(version: Version) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(version).items() if key != "files"}


def _show_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Characters that a terminal would obey are escaped as JSON allows.
    write_text(
        "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text) + "\n"
    )
