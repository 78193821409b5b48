"""Error messages by subject, from the places of the source that raise them."""

import ast
from collections.abc import Iterator

from site_pages.markdown import Described, blocks, one_line, prose, table
from site_pages.source import calls, folder_summary, modules, subject, text_of

BASE = "HeadstartError"


def error_messages() -> str:
    """A section for each folder of the source: its messages, the way out that each names, and its condition."""
    found = _messages()
    return blocks(*(_section(folder, rows) for folder, rows in found.items()))


def _messages() -> dict[str, list[tuple[str, str]]]:
    """Message and condition, by folder; no message stands there twice."""
    kinds = _kinds()
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for module in modules():
        for call, name, around in calls(module):
            if name in kinds and call.args and (text := one_line(text_of(call.args[0]))):
                found.setdefault(module.folder, {}).setdefault(text, (text, _condition(name, around)))
    return {folder: sorted(rows.values()) for folder, rows in sorted(found.items())}


def _kinds() -> set[str]:
    """Names of the errors that are shown as one line."""
    kinds = {BASE}
    classes = [node for module in modules() for node in module.tree.body if isinstance(node, ast.ClassDef)]
    while more := {each.name for each in classes for base in each.bases if getattr(base, "id", "") in kinds} - kinds:
        kinds |= more
    return kinds


def _condition(name: str, around: list[Described]) -> str:
    """Condition of an error, from the nearest docstring that has one; else what the function does."""
    for docs in around:
        conditions = [text for kind, text in docs.raises if kind == name] or [text for kind, text in docs.raises]
        if conditions:
            return " ".join(conditions)
    return next((docs.first_line for docs in around if docs.text), "")


def _section(folder: str, rows: list[tuple[str, str]]) -> str:
    return blocks(
        f"## {subject(folder)}",
        f"{prose(folder_summary(folder))} `{folder}/`",
        table(["message", "way out", "cause"], _cells(rows)),
    )


def _cells(rows: list[tuple[str, str]]) -> Iterator[list[str]]:
    for text, condition in rows:
        message, _, way_out = text.partition("; ")
        yield [_plain(message), _plain(way_out), prose(condition)]


def _plain(text: str) -> str:
    """A message as text, in which nothing is Markdown."""
    for character in "\\`*_[]<>#|":
        text = text.replace(character, f"\\{character}" if character != "<" else "&lt;")
    return text
