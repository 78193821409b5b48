"""The evaluation artifact: a folder of `metrics.json`, the predictions, and everything the report is made of."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from headstart.components.core.storage.manifests import Count, Fraction, Names, read_manifest
from headstart.components.core.util.errors import HeadstartError

METRICS = "metrics.json"
MODELS = "models.json"
"""File with the `model.json` and the training history of each model, by the keys of `metrics.json`."""

THUMBNAILS = "pictures.parquet"
METRICS_FORMAT = "headstart-metrics/2"
FINAL = "test"
"""Key of the final model's metrics in `metrics.json`; the key of other models is their phase."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
"""Range of the temperature in calibration."""

CHAMPION = "champion"
"""Key of the champion's metrics."""


class _Figures(BaseModel):
    images: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    accuracy_interval: tuple[Fraction, Fraction]


class _Calibration(BaseModel):
    temperature: Annotated[float, Field(ge=LOWEST_TEMPERATURE, le=HIGHEST_TEMPERATURE)]


class _Abstention(BaseModel):
    wanted: Fraction
    threshold: Fraction | None
    validation_images: Count
    validation_needed: Count


class _Metrics(BaseModel):
    """The part of `metrics.json` on which predictions and publication depend."""

    classes: Names
    test_data: str
    test: _Figures
    champion: _Figures | None = None
    calibration: _Calibration | None
    abstention: list[_Abstention]


class _Made(BaseModel):
    sha256: str


class _Models(BaseModel):
    command: str
    date: str = ""
    run: str = ""
    models: dict[str, _Made]


def read_metrics(evaluation: Path) -> dict[str, Any]:
    """Reads `metrics.json`, whose schema is docs/metrics.schema.json.

    Raises:
        HeadstartError: If the folder is not a complete evaluation, or the file is damaged.
    """
    return read_manifest(evaluation / METRICS, "evaluation", _Metrics, METRICS_FORMAT)[1] | {"format": METRICS_FORMAT}


def read_models(evaluation: Path) -> dict[str, Any]:
    """Reads `models.json`: facts about each model under `models`; `command`, and in new ones `date` and `run`.

    Raises:
        HeadstartError: If the folder is not a complete evaluation, or the file is damaged.
    """
    checked, values = read_manifest(evaluation / MODELS, "evaluation", _Models)
    if FINAL not in checked.models:
        raise HeadstartError(f"{evaluation / MODELS} is damaged (no model {FINAL!r}); evaluate the model again")
    return values


def temperature_of(metrics: dict[str, Any]) -> float:
    """Temperature that the final model's logits are divided by; 1 if it was not calibrated."""
    return float(metrics["calibration"]["temperature"]) if metrics["calibration"] else 1.0
