"""The tree of folders and modules in docs/architecture.md, each with the first line of its docstring.

python tests/support/tree.py writes it there anew.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree -->\n", "<!-- /tree -->"


def tree() -> str:
    """Folders and modules in a code block, a line each."""
    lines = [line for name in ("components", "pipelines") for line in _lines(ROOT / name, 0)]
    width = max(len(name) for name, _ in lines)
    return "```text\n" + "".join(f"{name:<{width}}  {text}\n" for name, text in lines) + "```\n"


def page(text: str) -> str:
    """The page with the present tree between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tree()}\n{END}{after}"


def _lines(folder: Path, depth: int) -> Iterator[tuple[str, str]]:
    yield f"{'  ' * depth}{folder.name}/", _first_line(folder / "__init__.py")
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [path.parent for path in folder.glob("*/__init__.py")]
    for path in sorted(packages) + sorted(modules):
        if path.is_dir():
            yield from _lines(path, depth + 1)
        else:
            yield f"{'  ' * (depth + 1)}{path.name}", _first_line(path)


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return text.partition("\n")[0] if text else ""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
