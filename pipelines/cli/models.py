"""`headstart models`."""

import dataclasses
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.components.core.registry import registry
from headstart.components.core.registry.versions import Version, VersionFacts
from headstart.components.core.util.printable import escape_unprintable

app = typer.Typer(
    help="What is published at an address, and what of it is in use.", no_args_is_help=True, rich_markup_mode="rich"
)

Uri = Annotated[
    str, typer.Argument(help="A folder, or a gs:// or s3:// address, as --publish took it.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on a terminal too; elsewhere it always is.")]

_SECONDS = 19
"""Letters of a time in ISO 8601 up to the seconds."""


@app.command(name="list")
def list_models(uri: Uri, as_json: AsJson = False) -> None:
    """Lists every version that is published, and marks the one in use."""
    found = registry.list_versions(uri)
    console = Console()
    if as_json or not console.is_terminal:
        rows = [_without_files(each) for each in found.versions]
        rows += [{"version": name, "damaged": why} for name, why in found.damaged.items()]
        _show_json([{"in_use": row["version"] == found.in_use, **row} for row in rows])
        return
    if not found.versions and not found.damaged:
        console.print(f"nothing is published at {uri}", markup=False, soft_wrap=True)
        return
    table = _table("version", "in use", "published (UTC)", *_FACTS)
    for each in reversed(found.versions):
        mark = "yes" if each.version == found.in_use else ""
        table.add_row(*map(_cell, (each.version, mark, _when(each.created), *_facts(each.facts))))
    for name in found.damaged:
        table.add_row(_cell(name), "yes" if name == found.in_use else "", "damaged")
    console.print(table)
    for why in found.damaged.values():
        console.print(escape_unprintable(why), markup=False, highlight=False, soft_wrap=True)


@app.command()
def show(uri: Uri, as_json: AsJson = False) -> None:
    """Shows the version in use, and every one that was before it."""
    in_use = registry.read_champion(uri)
    console = Console()
    if as_json or not console.is_terminal:
        _show_json(dataclasses.asdict(in_use) if in_use else None)
        return
    if in_use is None:
        console.print(f"nothing is published at {uri}", markup=False, soft_wrap=True)
        return
    facts = in_use.version.facts
    lines = [f"version  {in_use.version.version}", f"address  {in_use.address}", f"model    {in_use.model}"]
    lines += [f"classes  {', '.join(facts.classes)}", f"sha256   {facts.model} (model.keras)"]
    lines += [f"data     {digest} ({split})" for split, digest in facts.data.items()]
    for line in lines:
        console.print(escape_unprintable(line), markup=False, highlight=False, soft_wrap=True)
    table = _table("when (UTC)", "version", "how", "replaced", *_FACTS)
    for change in reversed(in_use.history):
        row = (_when(change.when), change.version, change.how, change.replaced or "-", *_facts(change.facts))
        table.add_row(*map(_cell, row))
    console.print(table)


@app.command()
def rollback(
    uri: Uri,
    version: Annotated[
        str, typer.Argument(help="The version; left out: the one that the present one replaced.", show_default=False)
    ] = "",
) -> None:
    """Puts an earlier version back in use."""
    in_use = registry.roll_back(uri, version)
    typer.echo(f"{in_use.version.version} is in use in the place of {in_use.history[-1].replaced}: {in_use.address}")


_FACTS = ("accuracy", "95 % interval", "images", "data", "run")
_DIGEST_LETTERS = 12


def _facts(facts: VersionFacts) -> tuple[str, ...]:
    low, high = facts.accuracy_interval
    data = facts.data.get("train", "-")[:_DIGEST_LETTERS]
    return f"{facts.accuracy:.3f}", f"{low:.3f} to {high:.3f}", f"{facts.images:,}", data, facts.run or "-"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _when(moment: str) -> str:
    return moment[:_SECONDS].replace("T", " ")


def _without_files(version: Version) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(version).items() if key != "files"}


def _show_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # What a terminal would obey is written as JSON can write it, too.
    typer.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))


def _cell(text: str) -> str:
    """Text that may come from elsewhere, for a cell of a table."""
    return escape(escape_unprintable(text))
