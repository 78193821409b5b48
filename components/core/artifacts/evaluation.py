"""The evaluation artifact: a folder of `metrics.json`, the predictions, and whatever the report is made of."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from headstart.components.core.storage.manifests import Count, Fraction, Names, read_manifest
from headstart.components.core.util.errors import HeadstartError

METRICS = "metrics.json"
MODELS = "models.json"
"""By the names of `metrics.json`, what each model's own `model.json` says, and how its training went."""

THUMBNAILS = "pictures.parquet"
FORMAT = "headstart-metrics/2"
FINAL = "test"
"""Key of the final model's figures in `metrics.json`; other models stand under their stage's name."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
"""Between which a temperature is looked for."""

IN_USE = "champion"
"""Key of the figures of the model in use."""


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
    """What of `metrics.json` decides what a model answers, and whether it is published."""

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
    models: dict[str, _Made]


def read_metrics(evaluation: Path) -> dict[str, Any]:
    """Reads `metrics.json`; docs/metrics.schema.json says what is in it.

    Raises:
        HeadstartError: If the folder is no evaluation, or the file is damaged.
    """
    return read_manifest(evaluation / METRICS, "evaluation", _Metrics, FORMAT)[1] | {"format": FORMAT}


def read_models(evaluation: Path) -> dict[str, Any]:
    """Reads `models.json`: `command`, and under `models` what each of them says of itself.

    Raises:
        HeadstartError: If the folder is no evaluation, or the file is damaged.
    """
    checked, values = read_manifest(evaluation / MODELS, "evaluation", _Models)
    if FINAL not in checked.models:
        raise HeadstartError(f"{evaluation / MODELS} is damaged (no model {FINAL!r}); evaluate the model again")
    return values


def temperature_of(metrics: dict[str, Any]) -> float:
    """What the final model's logits are to be divided by; 1 where it was not calibrated."""
    return float(metrics["calibration"]["temperature"]) if metrics["calibration"] else 1.0
