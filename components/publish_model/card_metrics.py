"""Check of the metrics that a model card shows, before anything is exported."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from headstart.components.core.artifacts.evaluation import METRICS, METRICS_FORMAT, GroupUnit
from headstart.components.core.storage.manifests import Count, Finite, Fraction, read_manifest

_Interval = tuple[Finite, Finite]


class _ClassMetrics(BaseModel):
    images: Count
    recall: Fraction
    recall_interval: _Interval
    precision: Fraction
    precision_interval: _Interval


class _TestMetrics(BaseModel):
    images: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    accuracy_interval: _Interval
    balanced_accuracy: Fraction
    balanced_accuracy_interval: _Interval
    log_loss: Finite
    log_loss_interval: _Interval
    per_class: dict[str, _ClassMetrics]
    groups: Annotated[int, Field(ge=1)] | None = None
    effective_images: Finite | None = None

    @model_validator(mode="after")
    def _check_images(self) -> Self:
        images = sum(each.images for each in self.per_class.values())
        if images != self.images:
            raise ValueError(f"the classes have {images} images together, images is {self.images}")
        return self


class _Reliability(BaseModel):
    ece: Finite
    ece_interval: _Interval
    brier: Finite
    brier_interval: _Interval


class _Change(BaseModel):
    log_loss: Finite
    log_loss_interval: _Interval


class _Calibration(BaseModel):
    """Calibration; keys with a default are not in evaluations of earlier versions."""

    temperature: Finite
    validation_images: Count
    before: _Reliability
    after: _Reliability
    applied: bool = True
    fitted_temperature: Finite = 1.0
    temperature_interval: _Interval = (1.0, 1.0)
    change: _Change | None = None


class _Abstention(BaseModel):
    wanted: Fraction
    threshold: Fraction | None
    validation_images: Count
    answered: Count | None
    precision: Fraction | None
    precision_lower: Fraction | None

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if self.precision is not None and None in (self.answered, self.precision_lower):
            raise ValueError("answered or precision_lower is null, and precision is not")
        return self


class _Unfamiliarity(BaseModel):
    wanted: Fraction
    threshold: Finite
    bound: Fraction
    validation_images: Count
    validation_needed: Count
    flagged: Count
    share: Fraction
    share_interval: _Interval
    reference_images: Count
    neighbours: Count


class _Slice(BaseModel):
    column: str
    value: str
    images: Count
    accuracy: Fraction
    accuracy_interval: _Interval


class _CardMetrics(BaseModel):
    """Keys of `metrics.json` that the card shows."""

    validation_data: str | None
    suspected_label_errors: Count | None
    test: _TestMetrics
    calibration: _Calibration | None
    abstention: list[_Abstention]
    slices: list[_Slice]
    unfamiliarity: _Unfamiliarity | None = None
    grouping: GroupUnit = ""

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.grouping and None in (self.test.groups, self.test.effective_images):
            raise ValueError("test.groups or test.effective_images is null, and grouping is not empty")
        return self


def check_card_metrics(evaluation: Path) -> None:
    """Checks that `metrics.json`, which may come from elsewhere, has everything that a model card shows.

    Args:
        evaluation: Folder that `evaluate_model` made.

    Raises:
        HeadstartError: If a key is missing or its value is wrong.
    """
    read_manifest(evaluation / METRICS, "evaluation", _CardMetrics, METRICS_FORMAT)
