"""Calibration and thresholds that a model brings along from its own evaluation: `calibration.json`.

On other images than its run's it is applied, not fitted again: test images must not choose what they measure.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from headstart.components.core.artifacts.evaluation import (
    FINAL,
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    read_metrics,
    read_models,
    temperature_of,
)
from headstart.components.core.artifacts.predictions import FURTHEST
from headstart.components.core.storage.atomic import write_json
from headstart.components.core.storage.manifests import Count, Finite, Fraction, read_manifest
from headstart.components.core.util.errors import HeadstartError

_FORMAT = "headstart-calibration/1"


@dataclasses.dataclass(frozen=True)
class AbstentionThreshold:
    """Threshold below which the model abstains, as validation images chose it.

    Attributes:
        wanted: Wanted precision of the predictions that are given.
        threshold: Least calibrated probability of the likeliest class; None if no threshold holds the precision.
        validation_images: Number of validation images.
        validation_needed: Fewest validation images, all predicted correctly, for which there is a threshold; with
            `unit`, fewest groups.
        unit: Word for a group of validation images, such as ``patient``; empty: none are named.
    """

    wanted: Fraction
    threshold: Fraction | None
    validation_images: Count
    validation_needed: Count
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class UnfamiliarityThreshold:
    """Threshold above which an image is unfamiliar, as validation images chose it.

    Attributes:
        wanted: Wanted share of new images like the validation images that are flagged.
        threshold: Largest unfamiliarity that is not flagged.
        bound: Largest share of new images like these that are flagged, with 95 % confidence; at most `wanted` if
            there were enough validation images.
        validation_images: Number of validation images.
        validation_needed: Fewest validation images for `wanted`, or groups where `validation_groups` is given.
        validation_groups: Number of groups of the validation images, where the user names groups: then `wanted` and
            `bound` are the share of new groups any image of which is flagged. None: images are independent.
        unit: Word for a group, such as ``patient``; empty: likewise.
    """

    wanted: Fraction
    threshold: Annotated[float, Field(ge=0, le=FURTHEST)]
    bound: Fraction
    validation_images: Annotated[int, Field(ge=1)]
    validation_needed: Count
    validation_groups: Count | None = None
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class ModelCalibration:
    """Temperature and thresholds of a model, which the validation images of its run chose.

    Attributes:
        temperature: Divisor of the logits.
        validation_images: Number of validation images that it was fitted on.
        validation_data: Digest of the validation set; None if it is not known.
        abstention: Abstention thresholds.
        applied: True if the probabilities are scaled.
        fitted_temperature: Maximum-likelihood temperature; `temperature` itself if an earlier version fitted it.
        temperature_interval: Interval of `fitted_temperature`; None if an earlier version fitted it.
        p_value: p-value of the test of a temperature of 1; None if an earlier version fitted it.
        unfamiliarity: Threshold of unfamiliar images; None if the model has no reference features.
    """

    temperature: Annotated[float, Field(ge=LOWEST_TEMPERATURE, le=HIGHEST_TEMPERATURE)]
    validation_images: Count
    validation_data: str | None
    abstention: list[AbstentionThreshold]
    applied: bool
    fitted_temperature: Finite
    temperature_interval: tuple[Finite, Finite] | None
    p_value: Fraction | None
    unfamiliarity: UnfamiliarityThreshold | None = None


class _File(BaseModel):
    calibration: ModelCalibration | None


def find_model_calibration(evaluation: Path | None, sha256: str) -> ModelCalibration | None:
    """Reads the calibration of a model from its own evaluation.

    Args:
        evaluation: Folder of the evaluation; None: there is none beside the model.
        sha256: SHA-256 of the model's `model.keras`.

    Returns:
        The calibration; None without an evaluation, or where that had no validation images.

    Raises:
        HeadstartError: If the evaluation is damaged or of another model.
    """
    if evaluation is None:
        return None
    raise_if_of_another_model(evaluation, sha256)
    metrics = read_metrics(evaluation)
    found = metrics["calibration"]
    if found is None:
        return None
    return ModelCalibration(
        temperature_of(metrics),
        found["validation_images"],
        metrics["validation_data"],
        [AbstentionThreshold(**_choose_fields(AbstentionThreshold, row)) for row in metrics["abstention"]],
        found.get("applied", True),
        found.get("fitted_temperature", found["temperature"]),
        found.get("temperature_interval"),
        found.get("p_value"),
        unfamiliarity_of(metrics),
    )


def unfamiliarity_of(metrics: dict[str, Any]) -> UnfamiliarityThreshold | None:
    """Threshold of unfamiliar images in `metrics.json`; None if there is none, as in those of earlier versions."""
    found = metrics.get("unfamiliarity")
    return UnfamiliarityThreshold(**_choose_fields(UnfamiliarityThreshold, found)) if found else None


def _choose_fields(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Values of the fields of a record; those that earlier versions did not write are left out."""
    return {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}


def raise_if_of_another_model(evaluation: Path, sha256: str) -> None:
    """Refuses an evaluation of another model.

    Args:
        evaluation: Folder of the evaluation.
        sha256: SHA-256 of the model's `model.keras`.

    Raises:
        HeadstartError: If the evaluation is of another model.
    """
    if read_models(evaluation)["models"][FINAL]["sha256"] != sha256:
        raise HeadstartError(f"{evaluation} is of another model than the one beside it; evaluate the model again")


def write_model_calibration(path: Path, calibration: ModelCalibration | None) -> None:
    """Writes `calibration.json`; None: the model is not calibrated."""
    values = dataclasses.asdict(calibration) if calibration else None
    write_json(path, {"format": _FORMAT, "calibration": values})


def read_model_calibration(path: Path) -> ModelCalibration | None:
    """Reads `calibration.json`; None if the model is not calibrated.

    Raises:
        HeadstartError: If the file is missing or damaged.
    """
    return read_manifest(path, "calibration", _File, _FORMAT)[0].calibration
