"""The tables of parameters in the docs, made from the parameters' own documentation.

python tests/support/parameter_tables.py writes them there anew.
"""

import re
from pathlib import Path

from headstart.pipelines.cli.options import CLASS_COUNTS
from headstart.pipelines.definitions.parameters import (
    OPTION_NAMES,
    PARAMETER_GROUPS,
    ParameterDoc,
    Parameters,
    parameter_docs,
)

ROOT = Path(__file__).parents[2]
# With the blank lines that Markdown wants around a table.
BEGIN, END = "<!-- parameters -->\n\n", "\n<!-- /parameters -->"
PAGES = {group: ROOT / "docs" / f"{group}.md" for group in PARAMETER_GROUPS}
"""The page with the table of each group of parameters."""


def table(group: str) -> str:
    """A row for each parameter of a group that has an option."""
    docs = {name: doc for name, doc in parameter_docs().items() if doc.group == group and name != CLASS_COUNTS}
    rows = [f"| `--{OPTION_NAMES[name]}` | {_default(name)} | {_meaning(doc)} |" for name, doc in docs.items()]
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows, ""])


def page(group: str) -> str:
    """The page of a group with the present table between its two marks."""
    before, _, rest = PAGES[group].read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(group)}{END}{after}"


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
    for each in PARAMETER_GROUPS:
        PAGES[each].write_text(page(each), encoding="utf-8")
