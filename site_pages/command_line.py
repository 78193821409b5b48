"""The command line, from the commands themselves."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from headstart.pipelines.cli.main import app
from headstart.pipelines.cli.predict import EXIT_STATUSES as PREDICT_STATUSES
from headstart.pipelines.cli.serve import EXIT_STATUSES as SERVE_STATUSES
from headstart.pipelines.cli.submit import EXIT_STATUSES as SUBMIT_STATUSES
from site_pages.markdown import blocks, code, prose, table

_DEFAULT = re.compile(r" \[dim\]\(default: (.*?)\)\[/dim\]")
_VARIABLE = re.compile(r" \[dim\]\\?\[(\w+)\]\[/dim\]")
"""What the help of a setting of the cluster has in dim letters."""


def command_line() -> str:
    """A section of each command: usage, arguments and options."""
    command = typer.main.get_command(app)
    commands = list(_walk(command, "headstart"))
    overview = table(
        ["command", "what it does"],
        ([f"[`{name}`](#{_anchor(name)})", prose(_help(each).partition("\n\n")[0])] for name, each in commands[1:]),
    )
    return blocks(overview, *(_section(name, each) for name, each in commands))


def exit_statuses() -> str:
    """Exit statuses of the commands that have some of their own."""
    rows = []
    statuses = {"submit, follow": SUBMIT_STATUSES, "predict": PREDICT_STATUSES, "serve": SERVE_STATUSES}
    for commands, text in statuses.items():
        listed, _, note = text.removeprefix("Exit status: ").partition(". ")
        for status in listed.rstrip(".").split("; "):
            number, _, meaning = status.partition(" ")
            rows.append([", ".join(code(f"headstart {each}") for each in commands.split(", ")), number, meaning])
        if note:
            rows[-1][2] += f". {note}"
    return blocks("## Single commands", table(["command", "status", "when"], rows))


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from _walk(each, f"{name} {word}")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _help(command: Any) -> str:
    return str(command.help or "").strip()


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    parameters = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option"]
    usage = " ".join(command.collect_usage_pieces(context))
    return blocks(
        f"## {name}",
        prose(_help(command)),
        f"```text\n{name} {usage}\n```",
        table(["argument", "meaning"], ([code(each.metavar or each.name), prose(_text(each))] for each in arguments)),
        table(
            ["option", "default", "meaning"],
            ([_names(each), _default(each, context), prose(_text(each))] for each in options),
        ),
        prose(command.epilog or ""),
    )


def _names(option: Any) -> str:
    names = ", ".join(code(each) for each in [*option.opts, *option.secondary_opts])
    kind = "" if option.is_flag else (option.metavar or option.type.name).upper().partition(" ")[0]
    return f"{names} {kind}".strip()


def _text(parameter: Any) -> str:
    text = _DEFAULT.sub("", " ".join(str(parameter.help or "").split()))
    text = _VARIABLE.sub(lambda found: f" Variable: `{found[1]}`.", text)
    return f"{text} Required." if parameter.required and parameter.param_type_name == "option" else text


def _default(option: Any, context: Any) -> str:
    if held := _DEFAULT.search(option.help or ""):
        return code(held[1])
    shown = option.show_default
    if isinstance(shown, str):
        return shown
    default = option.get_default(context, call=False)
    if shown is False or default is None or default is False or default in ("", [], ()) or callable(default):
        return ""
    if isinstance(default, list | tuple):
        default = ",".join(map(str, default))
    return "on" if default is True else code(getattr(default, "value", default))
