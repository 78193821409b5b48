"""Events in logs, from the calls that log them."""

import ast

from site_pages.markdown import blocks, code, prose, table
from site_pages.source import Module, calls, folder_summary, modules, subject, text_of


def log_events() -> str:
    """A table for each folder of the source: event, fields, and what the function that logs it does."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    for module in modules():
        for call, name, around in calls(module):
            if name == "event" and call.args:
                event = text_of(call.args[0]) or _values(call.args[0], module)
                fields = " ".join(code(f"{key.arg}=") if key.arg else "…" for key in call.keywords)
                meaning = next((docs.first_line for docs in around if docs.text), "")
                found.setdefault(module.folder, {}).setdefault((event, fields), meaning)
    return blocks(
        *(
            blocks(
                f"## {subject(folder)}",
                f"{prose(folder_summary(folder))} `{folder}/`",
                table(
                    ["event", "fields", "logged by the function that"],
                    ([code(event), fields, prose(meaning)] for (event, fields), meaning in sorted(rows.items())),
                ),
            )
            for folder, rows in sorted(found.items())
        )
    )


def _values(node: ast.expr, module: Module) -> str:
    """The texts that a variable may be: those assigned to it, or passed on by calls in its module."""
    name = getattr(node, "id", "")
    found = []
    for each in ast.walk(module.tree):
        if isinstance(each, ast.Assign) and any(getattr(target, "id", "") == name for target in each.targets):
            found.append(text_of(each.value))
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef) and [each.arg for each in function.args.args][:1] == [name]:
            found += [
                text_of(call.args[0]) for call, called, _ in calls(module) if called == function.name and call.args
            ]
    return " / ".join(dict.fromkeys(filter(None, found))) or name
