"""The evaluation artifact: a folder of `metrics.json`, the predictions, and whatever the report is made of."""

from pathlib import Path
from typing import Any

from headstart.components.core.errors import HeadstartError
from headstart.components.core.files import read_json

METRICS = "metrics.json"
MODELS = "models.json"
"""By the names of `metrics.json`, what each model's own `model.json` says, and how its training went."""

PICTURES = "pictures.parquet"
FORMAT = "headstart-metrics/2"
FINAL = "test"
"""Key of the final model's figures in `metrics.json`; other models stand under their stage's name."""

IN_USE = "champion"
"""Key of the figures of the model in use."""


def read_metrics(evaluation: Path) -> dict[str, Any]:
    """Reads `metrics.json`; docs/metrics.schema.json says what is in it.

    Raises:
        HeadstartError: The folder is no evaluation.
    """
    metrics = read_json(evaluation / METRICS, "evaluation")
    if not isinstance(metrics, dict) or metrics.get("format") != FORMAT:
        raise HeadstartError(f"{evaluation / METRICS} is not in the format {FORMAT}; evaluate the model again")
    return metrics


def temperature_of(metrics: dict[str, Any]) -> float:
    """What the final model's logits are to be divided by; 1 where it was not calibrated."""
    return float(metrics["calibration"]["temperature"]) if metrics["calibration"] else 1.0
