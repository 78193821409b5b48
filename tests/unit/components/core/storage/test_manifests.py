import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from headstart.components.core.artifacts.decision import read_decision
from headstart.components.core.storage.manifests import Count, Names, read_manifest
from headstart.components.core.util.errors import HeadstartError


@dataclasses.dataclass
class Kind:
    classes: Names
    counts: tuple[Count, ...] = ()
    inner: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)


def read(folder: Path, value: Any, format_name: str = "") -> tuple[Kind, dict[str, Any]]:
    (folder / "kind.json").write_text(json.dumps(value))
    return read_manifest(folder / "kind.json", "thing", Kind, format_name)


def test_types_are_checked_and_unknown_keys_ignored(tmp_path: Path) -> None:
    value = {"format": "thing/1", "classes": ["cat"], "counts": [1, 2], "of a later version": [{}]}
    checked, values = read(tmp_path, value, "thing/1")
    assert checked == Kind(["cat"], (1, 2))
    assert values == {key: each for key, each in value.items() if key != "format"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "is damaged (classes is missing)"),
        ({"classes": ["cat"], "counts": ["1"]}, "is damaged (counts.0 is '1': input should be a valid integer)"),
        (
            {"classes": ["cat"], "inner": {"a": {"b": 0.5}}},
            "is damaged (inner.a.b is 0.5: input should be a valid int",
        ),
        ({"classes": ["cat", "cat"]}, "is damaged (classes: 'cat' is there twice)"),
        ({"classes": "c" * 100}, f"is damaged (classes is '{'c' * 59}…: input should be"),
        ([], "is not a JSON object"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(value: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError) as caught:
        read(tmp_path, value)
    assert str(caught.value).startswith(f"{tmp_path / 'kind.json'} {says}")
    assert str(caught.value).endswith("; make the thing again")


def test_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"kind\.json is not in the format thing/2, but in 'thing/1'; make the"):
        read(tmp_path, {"format": "thing/1"}, "thing/2")
    with pytest.raises(HeadstartError, match=r"is not a complete thing: none\.json is missing; check the path; "):
        read_manifest(tmp_path / "none.json", "thing", Kind)


def test_decision_without_a_verdict_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text('{"verdict": "better", "reasons": ["because"], "more": 1}')
    assert read_decision(path) == {"verdict": "better", "reasons": ["because"], "more": 1}
    path.write_text('{"reasons": []}')
    with pytest.raises(
        HeadstartError, match=r"decision\.json is damaged \(verdict is missing\); make the decision again"
    ):
        read_decision(path)
