"""Commands of typer that suggest an option for a mistyped one, and whose help names types by words of ours."""

import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from headstart.pipelines.definitions.option_suggestions import suggest_option

_TYPES = {
    **dict.fromkeys(("str", "str | None", "list[str]", "list[str] | None", "text"), "TEXT"),
    **dict.fromkeys(("int", "float", "integer", "integer range", "float range"), "NUMBER"),
    **dict.fromkeys(("Path", "path", "Path | None"), "PATH"),
}
"""Words for types, by the names that typer and, before its version 0.29, click have for them."""


class _Helping:
    """What commands and groups of commands have in common."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Arguments and options, with the words that the help shows for their types."""
        return _with_types(super().get_params(ctx))  # type: ignore[misc]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments; for an option that does not exist, the error suggests one."""
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc,no-any-return]
        except Exception as error:
            _add_suggestion(error, self, ctx)
            raise


class Command(_Helping, TyperCommand):
    """A command."""

    def __init__(self, *args: Any, help: str | None = None, **settings: Any) -> None:
        # Typer keeps the line breaks of all paragraphs but the first.
        text = "\n\n".join(" ".join(each.split()) for each in inspect.cleandoc(help or "").split("\n\n"))
        super().__init__(*args, help=text, **settings)


class Group(_Helping, TyperGroup):
    """A command with commands of its own."""


def _with_types(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if each.param_type_name == "argument":
            # Its name and its help say what it is.
            each.display_type_rich = _show_no_type
        if each.param_type_name == "option" and each.metavar is None:
            each.metavar = "" if each.is_flag else _TYPES.get(_name_type(each))
    return parameters


def _show_no_type(ctx: Any) -> None:
    """Type of an argument in the help: none."""


def _name_type(option: Any) -> str:
    descriptor = getattr(option, "type_descriptor", None)
    if descriptor is None:
        return str(option.type.name)
    kind = descriptor.annotation
    # A list of texts is a type with arguments, and not the type that its name says.
    return kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", ()) else str(kind)


def _add_suggestion(error: Exception, command: Any, ctx: Any) -> None:
    """Puts a suggestion into an error about an option that does not exist; typer's and click's own are alike."""
    if type(error).__name__ != "NoSuchOption" or not hasattr(error, "option_name"):
        return
    wrong = str(error.option_name)
    own = [option for each in command.get_params(ctx) for option in (*each.opts, *each.secondary_opts)]
    others: dict[str, list[str]] = {}
    for name, other in getattr(ctx.find_root().command, "commands", {}).items():
        if wrong in (option for each in other.params for option in each.opts):
            others.setdefault(wrong, []).append(f"headstart {name}")
    if suggestion := suggest_option(wrong, own, others):
        error.message = f"No such option: {wrong}. {suggestion}"  # type: ignore[attr-defined]
        error.possibilities = None  # type: ignore[attr-defined]


def make_app(**settings: Any) -> typer.Typer:
    """Makes a group of commands that look and answer like all others.

    Args:
        settings: Arguments of `typer.Typer`.
    """
    return typer.Typer(
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )
