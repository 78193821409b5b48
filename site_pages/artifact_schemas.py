"""Schemas of the artifacts: from the records that are written, and from the JSON schemas in docs/."""

import dataclasses
import importlib
import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from site_pages import ROOT
from site_pages.markdown import blocks, code, describe, one_line, prose, table
from site_pages.values import name_type

CORE = "headstart.components.core"
MODULES = (
    "artifacts.dataset",
    "artifacts.left_out",
    "artifacts.originals",
    "artifacts.hygiene",
    "artifacts.model",
    "artifacts.reference",
    "artifacts.history",
    "artifacts.probe",
    "artifacts.predictions",
    "artifacts.evaluation",
    "artifacts.model_calibration",
    "artifacts.thumbnails",
    "artifacts.selection",
    "artifacts.decision",
    "registry.versions",
    "registry.registry",
)
"""Modules that read and write artifacts, in the order in which a run does."""

SCHEMAS = {"metrics.json": "metrics.schema.json", "comparison.json": "comparison.schema.json"}
_FILE = re.compile(r"`[\w.]+\.(?:json|csv|parquet|table)`")


def artifact_schemas() -> str:
    """A section of each artifact, then the JSON schemas as tables."""
    parts = [_module(importlib.import_module(f"{CORE}.{name}")) for name in MODULES]
    return blocks(*parts, *(_schema(name, file) for name, file in SCHEMAS.items()))


def _module(module: Any) -> str:
    docs = describe(module.__doc__)
    title, _, _ = docs.first_line.partition(":")
    rest = docs.first_line.removeprefix(title).removeprefix(":").strip()
    more = docs.text.partition("\n\n")[2]
    records = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__ and dataclasses.is_dataclass(each)
    ]
    return blocks(
        f"## {title.rstrip('.')}",
        prose(rest[:1].upper() + rest[1:]),
        prose(more),
        *(
            _record(each)
            for each in records
            if describe(each.__doc__).attributes and not each.__name__.startswith("_")
        ),
    )


def _record(record: Any) -> str:
    docs = describe(record.__doc__)
    hints = typing.get_type_hints(record, include_extras=True)
    fields = {each.name: hints.get(each.name, "") for each in dataclasses.fields(record)}
    rows = [
        [code(name), name_type(fields[name]), prose(text)] for name, text in docs.attributes.items() if name in fields
    ]
    return blocks(f"**{prose(docs.first_line).rstrip('.')}**", table(["key", "type", "meaning"], rows))


def _schema(name: str, file: str) -> str:
    schema = json.loads((ROOT / "docs" / "reference" / "schemas" / file).read_text(encoding="utf-8"))
    return blocks(
        f"## {name}",
        f"{one_line(schema['description'])} The JSON schema: [{file}](schemas/{file}).",
        table(["key", "type", "meaning"], _rows(schema, schema, "", ())),
    )


def _rows(
    schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str, seen: tuple[str, ...]
) -> Iterator[list[str]]:
    """Rows of an object's keys, those inside below them; a definition is unfolded once on each way down."""
    for key, value in schema.get("properties", {}).items():
        name = f"{prefix}{key}"
        target, references = _resolve(value, root)
        yield [
            code(name),
            prose(_kind(value, root)),
            prose(one_line(value.get("description", target.get("description", "")))),
        ]
        if not set(references) & set(seen):
            inner, below = _resolve(target.get("items", target.get("additionalProperties") or {}), root)
            if target.get("properties"):
                yield from _rows(target, root, f"{name}.", (*seen, *references))
            elif isinstance(inner, dict) and inner.get("properties"):
                step = "[]" if "items" in target else ".*"
                yield from _rows(inner, root, f"{name}{step}.", (*seen, *references, *below))


def _resolve(schema: Any, root: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """What a schema means, and the references on the way; of alternatives, the one that is an object or a list."""
    references = []
    while isinstance(schema, dict):
        if "$ref" in schema:
            references.append(schema["$ref"])
            schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
            schema = next((each for each in alternatives if each.get("type") != "null"), alternatives[0])
        else:
            return schema, references
    return {}, references


def _kind(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code("null" if each is None else each) for each in schema["enum"])
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(each, root) for each in alternatives))
    if "$ref" in schema:
        return _kind(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    kinds = schema.get("type", "anything")
    words = {
        "string": "text",
        "integer": "whole number",
        "array": "list",
        "boolean": "`true` or `false`",
        "null": "`null`",
    }
    return " or ".join(words.get(each, each) for each in ([kinds] if isinstance(kinds, str) else kinds))
