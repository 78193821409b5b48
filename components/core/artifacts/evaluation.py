"""The evaluation artifact: a folder of `metrics.json`, the predictions, and everything the report is made of."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from headstart.components.core.artifacts.predictions import FURTHEST
from headstart.components.core.storage.manifests import Count, Fraction, Names, read_manifest
from headstart.components.core.util.errors import HeadstartError

METRICS = "metrics.json"
MODELS = "models.json"
"""File with the `model.json` and the training history of each model, by the keys of `metrics.json`."""

RUN = "run.json"
"""File with date and run of the evaluation, in no published version; evaluations of earlier versions have none."""

THUMBNAILS = "pictures.parquet"
METRICS_FORMAT = "headstart-metrics/2"
FINAL = "test"
"""Key of the final model's metrics in `metrics.json`; the key of other models is their phase."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
"""Range of the temperature in calibration."""

CHAMPION = "champion"
"""Key of the champion's metrics."""

GroupUnit = Annotated[str, Field(pattern=r"^[a-z]{0,30}$")]
"""Word for a group that the user names, such as `patient`; empty: none are named."""


@dataclasses.dataclass(frozen=True)
class EvaluationRun:
    """Content of `run.json`, for the header of the report.

    Attributes:
        date: Time of the evaluation, ISO 8601 in UTC; empty: unknown.
        run: The run in words; empty: unknown.
    """

    date: str = ""
    run: str = ""


class _Figures(BaseModel):
    images: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    accuracy_interval: tuple[Fraction, Fraction]
    groups: Annotated[int, Field(ge=1)] | None = None
    effective_images: Annotated[float, Field(ge=0)] | None = None


class _Calibration(BaseModel):
    temperature: Annotated[float, Field(ge=LOWEST_TEMPERATURE, le=HIGHEST_TEMPERATURE)]


class _Abstention(BaseModel):
    wanted: Fraction
    threshold: Fraction | None
    validation_images: Count
    validation_needed: Count


class _Unfamiliarity(BaseModel):
    wanted: Fraction
    threshold: Annotated[float, Field(ge=0, le=FURTHEST)]
    bound: Fraction
    validation_images: Annotated[int, Field(ge=1)]
    validation_needed: Count


class _Fold(BaseModel):
    images: Annotated[int, Field(ge=1)]
    correct: Count


class _CrossValidation(BaseModel):
    folds: Annotated[int, Field(ge=2)]
    by_fold: Annotated[list[_Fold], Field(min_length=1)]


class _Metrics(BaseModel):
    """The part of `metrics.json` on which predictions and publication depend."""

    classes: Names
    test_data: str
    test: _Figures
    champion: _Figures | None = None
    calibration: _Calibration | None
    abstention: list[_Abstention]
    unfamiliarity: _Unfamiliarity | None = None
    grouping: GroupUnit = ""
    cross_validation: _CrossValidation | None = None

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.grouping and None in (self.test.groups, self.test.effective_images):
            raise ValueError("test.groups or test.effective_images is null, and grouping is not empty")
        return self


class _Made(BaseModel):
    sha256: str


class _Models(BaseModel):
    command: str
    models: dict[str, _Made]


def read_metrics(evaluation: Path) -> dict[str, Any]:
    """Reads `metrics.json`, whose schema is docs/reference/schemas/metrics.schema.json.

    Raises:
        HeadstartError: If the folder is not a complete evaluation, or the file is damaged.
    """
    return read_manifest(evaluation / METRICS, "evaluation", _Metrics, METRICS_FORMAT)[1] | {"format": METRICS_FORMAT}


def read_models(evaluation: Path) -> dict[str, Any]:
    """Reads `models.json`: the key `command`, and facts about each model under `models`.

    Raises:
        HeadstartError: If the folder is not a complete evaluation, or the file is damaged.
    """
    checked, values = read_manifest(evaluation / MODELS, "evaluation", _Models)
    if FINAL not in checked.models:
        raise HeadstartError(f"{evaluation / MODELS} is damaged (no model {FINAL!r}); evaluate the model again")
    return values


def read_evaluation_run(evaluation: Path) -> EvaluationRun:
    """Reads `run.json`; nothing is known where there is none.

    Raises:
        HeadstartError: If the file is damaged.
    """
    if not (evaluation / RUN).exists():
        return EvaluationRun()
    return read_manifest(evaluation / RUN, "evaluation", EvaluationRun)[0]


def temperature_of(metrics: dict[str, Any]) -> float:
    """Temperature that the final model's logits are divided by; 1 if it was not calibrated."""
    return float(metrics["calibration"]["temperature"]) if metrics["calibration"] else 1.0
