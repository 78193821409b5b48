"""The parts of the docs that are made from the code: the tree of modules, and the tables of parameters.

python tests/support/generated_docs.py writes them anew; tests hold that they are current.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from headstart.pipelines.definitions.given_options import CLASS_COUNTS
from headstart.pipelines.definitions.parameters import (
    OPTION_NAMES,
    PARAMETER_GROUPS,
    ParameterDoc,
    Parameters,
    parameter_docs,
)

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
PARAMETER_PAGES = {group: ROOT / "docs" / "reference" / f"{group}.md" for group in PARAMETER_GROUPS}
"""The page with the table of each group of parameters."""


def generate_pages() -> dict[Path, str]:
    """Each page that has a generated part, with that part as it should be."""
    parts = {ARCHITECTURE: ("tree", tree())}
    parts |= {page: ("parameters", parameter_table(group)) for group, page in PARAMETER_PAGES.items()}
    return {page: _replace_part(page.read_text(encoding="utf-8"), *part) for page, part in parts.items()}


def _replace_part(page: str, name: str, content: str) -> str:
    """A page with other content between `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name} -->\n\n", f"\n<!-- /{name} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{content}{end}{after}"


def tree() -> str:
    """Folders and modules in a code block, a line each."""
    lines = [line for name in ("headstart", "components", "pipelines") for line in _lines(ROOT / name, 0)]
    width = max(len(name) for name, _ in lines)
    return "```text\n" + "".join(f"{name:<{width}}  {text}\n" for name, text in lines) + "```\n"


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


def parameter_table(group: str) -> str:
    """A row for each parameter of a group that has an option."""
    docs = {name: doc for name, doc in parameter_docs().items() if doc.group == group and name != CLASS_COUNTS}
    rows = [f"| `--{OPTION_NAMES[name]}` | {_default(name)} | {_meaning(doc)} |" for name, doc in docs.items()]
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _default(name: str) -> str:
    default = Parameters.model_fields[name].default
    if name == "data":
        return "required"
    if default in ("", [], {}) or default is False:
        return "none"
    return f"`{','.join(map(str, default)) if isinstance(default, list) else default}`"


def _meaning(doc: ParameterDoc) -> str:
    """The help of the option in Markdown: what stands in quotes, options, and addresses' schemes as code."""
    text = re.sub(r"'([^' ]*)'", lambda found: f"`{found[1] or chr(39) * 2}`", doc.option_help)
    text = re.sub(r"(?<![\w`])(--[a-z][a-z-]*|\w+\(?s?\)?://|\{[^}]*\})", r"`\1`", text)
    return text.replace("|", r"\|")


if __name__ == "__main__":
    for path, text in generate_pages().items():
        path.write_text(text, encoding="utf-8")
