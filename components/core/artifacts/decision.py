"""The decision of the gate: a JSON file that `compare_models` writes and `publish_model` reads."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from headstart.components.core.storage.manifests import read_manifest

DECISION_FORMAT = "headstart-decision/1"


class _Decision(BaseModel):
    verdict: str
    reasons: list[str]


def read_decision(path: Path) -> dict[str, Any]:
    """Reads a decision: `verdict`, `reasons`, and how it was reached.

    Raises:
        HeadstartError: If the file is missing or damaged.
    """
    return read_manifest(path, "decision", _Decision)[1]
