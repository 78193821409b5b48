"""The source of the package as syntax trees: modules, functions, calls, and texts with placeholders."""

import ast
import dataclasses
import functools
from collections.abc import Iterator

from site_pages import ROOT
from site_pages.markdown import Described, describe

FOLDERS = ("headstart", "components", "pipelines")


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of the package.

    Attributes:
        path: Path in the repository.
        tree: Syntax tree.
    """

    path: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        """Folder of the module in the repository."""
        return self.path.rpartition("/")[0]


@functools.cache
def modules() -> list[Module]:
    """All modules of the package."""
    return [
        Module(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def folder_summary(folder: str) -> str:
    """First line of the docstring of a folder; that of a step says what it does."""
    (found,) = [module for module in modules() if module.path == f"{folder}/__init__.py"]
    text = describe(ast.get_docstring(found.tree)).first_line.removeprefix("Step: ")
    return text[:1].upper() + text[1:]


def subject(folder: str) -> str:
    """Title of a folder of the source, such as `Download dataset`."""
    name = folder.rpartition("/")[2]
    return {"cli": "Command line", "core": "Core"}.get(name, name.replace("_", " ").capitalize())


@functools.cache
def _constants() -> dict[str, str]:
    """Values of the constants that are texts or numbers, by name; not of a name with two values."""
    found: dict[str, set[str]] = {}
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                value = str(node.value.value)
                for target in node.targets:
                    found.setdefault(getattr(target, "id", ""), set()).add(value)
    return {name: values.pop() for name, values in found.items() if name.strip("_").isupper() and len(values) == 1}


def calls(module: Module) -> Iterator[tuple[ast.Call, str, list[Described]]]:
    """Calls of a module in the order of the source: the call, the name it calls, and the docstrings around it.

    The docstrings are those of the functions and classes that the call is in, the innermost first.
    """
    yield from _calls(module.tree, [])


def _calls(node: ast.AST, around: list[Described]) -> Iterator[tuple[ast.Call, str, list[Described]]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        around = [describe(ast.get_docstring(node)), *around]
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        yield node, name, around
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, around)


def text_of(node: ast.expr) -> str:
    """A text of the source with placeholders for what is filled in; empty if it holds no text of its own."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            parts = [text_of(part) if isinstance(part, ast.Constant) else _placeholder(part) for part in values]
            return "".join(parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (text_of(left) or _word(left)) + (text_of(right) or _word(right))
        case ast.IfExp(body=body, orelse=orelse):
            return " / ".join(filter(None, (text_of(body), text_of(orelse))))
        case _:
            return ""


def _placeholder(part: ast.expr) -> str:
    return _word(part.value) if isinstance(part, ast.FormattedValue) else ""


def _word(node: ast.expr) -> str:
    """Placeholder of a value, such as `{path}`; `…` if it has no short name."""
    match node:
        case ast.Name(id=name) if name.strip("_").isupper() and name in _constants():
            return _constants()[name]
        case ast.Name(id=name):
            return f"{{{name.strip('_').lower()}}}"
        case ast.Attribute(attr=name):
            return f"{{{name.strip('_').lower()}}}"
        case ast.Call(args=[first, *_]) if not isinstance(first, ast.GeneratorExp | ast.Starred):
            return _word(first)
        case ast.Call(func=ast.Attribute(value=value)):
            return _word(value)
        case _:
            return "…"
