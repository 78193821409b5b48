"""Options, parameters, interfaces, JSON keys and exit statuses change only by addition."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.contracts import contracts, json_keys

GOLDEN = Path(__file__).parent / "contracts.json"
ARTIFACTS = Path(__file__).parent / "artifacts"


@pytest.fixture(scope="module")
def present() -> dict[str, Any]:
    return json.loads(json.dumps(contracts()))


def test_nothing_that_others_rely_on_has_changed(present: dict[str, Any], request: pytest.FixtureRequest) -> None:
    kept = json.loads(GOLDEN.read_text())
    assert changes(kept, present) == [], "a contract: it changes only by addition"
    if request.config.getoption("--write-golden"):
        GOLDEN.write_text(formatted(present))
    assert GOLDEN.read_text() == formatted(present), "something was added: run make golden"


def changes(kept: Any, present: Any, place: str = "") -> list[str]:
    """Where something is gone or is not what it was."""
    if isinstance(kept, dict) and isinstance(present, dict):
        gone = [f"{place}.{key} is gone" for key in kept if key not in present]
        common = [key for key in kept if key in present]
        return gone + [line for key in common for line in changes(kept[key], present[key], f"{place}.{key}")]
    return [] if kept == present else [f"{place} was {kept!r} and is {present!r}"]


def formatted(value: Any, depth: int = 0) -> str:
    """JSON with an option or a parameter on each line."""
    if not isinstance(value, dict) or depth == 3:
        return json.dumps(value, sort_keys=True)
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key)}: {formatted(each, depth + 1)}" for key, each in sorted(value.items())
    )
    return f"{{\n{inner}\n{' ' * depth}}}" + ("\n" if depth == 0 else "")


DROPPED = {"ema", "pull", "gradual", "layer_decay"}
"""Settings of recipes that were removed: docs/reference/recipe-keys.md says why."""


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("train/dataset.json", "train/dataset.json"),
        ("test/hygiene.json", "test/hygiene.json"),
        ("head/model.json", "model/model.json"),
        ("head/probe/learning_curve.json", "model/probe/learning_curve.json"),
        ("evaluation/metrics.json", "evaluation/metrics.json"),
        ("evaluation/models.json", "evaluation/models.json"),
    ],
)
def test_json_files_keep_their_keys(before: str, now: str, written: Path) -> None:
    kept, present = json_keys(ARTIFACTS / before), json_keys(written / now)
    gone = {key for key in kept - present if key.rpartition(".")[2] not in DROPPED}
    # The champion, and the head beside a fine-tuned model, were evaluated only then.
    assert {key for key in gone if not {"champion", "head"} & set(key.split("."))} <= OF_A_FINE_TUNED_MODEL


OF_A_FINE_TUNED_MODEL = {
    f"{place}{key}" for place in ("", "models.test.") for key in ("parent", "metrics.fine_tuned_share")
}


@pytest.fixture(scope="module")
def written(run_output: Path, splits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    for name in ("train", "test"):
        (folder / name).symlink_to(splits[name])
    for name in ("model", "evaluation"):
        (folder / name).symlink_to(run_output / name)
    return folder


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["recipes"], 0),
        (["--help"], 0),
        (["run"], 2),
        (["no-such-command"], 2),
        (["run", "--no-such-option"], 2),
        (["run", "--data", "/nothing/here"], 1),
        (["report", "/nothing/here"], 1),
        (["predict", "/nothing/here", "image.jpg"], 1),
        (["predict", str(ARTIFACTS / "model"), str(Path(__file__))], 3),
    ],
)
def test_exit_status(arguments: list[str], status: int, tmp_path: Path) -> None:
    done = subprocess.run([Path(sys.executable).parent / "headstart", *arguments], cwd=tmp_path, capture_output=True)
    assert done.returncode == status, done.stderr.decode()
