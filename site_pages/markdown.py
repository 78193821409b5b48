"""Markdown of the generated pages: tables, code, and docstrings in Google's style."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from griffe import Docstring, DocstringSectionKind

_DOUBLE = re.compile(r"``([^`]+)``")
_QUOTED = re.compile(r"(?<![\w`'])'([^'\s]*)'(?!\w)")
_BARE = re.compile(r"(?<![\w`/-])(--[a-z][a-z-]*|\w+(?:\(s\))?://[^\s;,)]*|\{[^}]*\})")
_CODE = re.compile(r"(`[^`]*`)")


@dataclasses.dataclass(frozen=True)
class Described:
    """Content of a docstring.

    Attributes:
        text: All that stands before the first section.
        parameters: Meaning of each argument.
        attributes: Meaning of each attribute.
        raises: Pairs of the name of an exception and its condition.
        returns: Meaning of what is returned.
    """

    text: str
    parameters: Mapping[str, str]
    attributes: Mapping[str, str]
    raises: Sequence[tuple[str, str]]
    returns: str

    @property
    def first_line(self) -> str:
        """First paragraph, as one line."""
        return one_line(self.text.partition("\n\n")[0])


def describe(docstring: str | None) -> Described:
    """Reads a docstring."""
    text, raises, returns = list[str](), list[tuple[str, str]](), list[str]()
    parameters, attributes = dict[str, str](), dict[str, str]()
    for section in Docstring(docstring or "", lineno=1).parse("google", warnings=False):
        match section.kind:
            case DocstringSectionKind.text:
                text.append(section.value)
            case DocstringSectionKind.parameters:
                parameters |= {each.name: one_line(each.description) for each in section.value}
            case DocstringSectionKind.attributes:
                attributes |= {each.name: one_line(each.description) for each in section.value}
            case DocstringSectionKind.raises:
                raises += [(str(each.annotation), one_line(each.description)) for each in section.value]
            case DocstringSectionKind.returns:
                returns += [one_line(each.description) for each in section.value]
            case _:
                pass
    return Described("\n\n".join(text).strip(), parameters, attributes, raises, " ".join(returns))


def one_line(text: str) -> str:
    """Text without line breaks."""
    return " ".join(text.split())


def prose(text: str) -> str:
    """Text of a docstring or of a help as Markdown: values in quotes, options and addresses become code."""
    text = _DOUBLE.sub(r"`\1`", text)
    parts = _CODE.split(text)
    for index in range(0, len(parts), 2):
        plain = _QUOTED.sub(lambda found: f"`{found[1] or chr(39) * 2}`", parts[index])
        plain = "".join(
            part if part.startswith("`") else _BARE.sub(r"`\1`", part).replace("<", "&lt;")
            for part in _CODE.split(plain)
        )
        parts[index] = plain
    return "".join(parts)


def code(text: object) -> str:
    """Inline code, whatever it holds."""
    text = one_line(str(text))
    if not text:
        return "`''`"
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; an empty text if there are no rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |", *lines])


def blocks(*parts: str) -> str:
    """Blocks with a blank line between each two; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
